"""What a run would still cost, before it is begun.

A stage estimates itself as soon as all it reads is there. Until then it is forecast here from
the number of questions, on the high side, with the lengths and rates below.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.config import Config, EndpointTeacher, FitConfig
from training.progress import Progress
from training.row_file import read_rows
from training.rows import Question
from training.run import Run, Standing, State
from training.stage import Estimate, Stage

DATA: Final = "data"

_CHARACTERS_PER_TOKEN = 4
_INSTRUCTION_TOKENS = 60
_RATIONALE_TOKENS = 120
_KNOWLEDGE_TOKENS = 150
_ANSWER_TOKENS = 5
_LESSON_PROMPT_TOKENS = 900
_LESSON_TOKENS = 250
_ERROR_SHARE = 0.5
"""Of the train questions that S_P gets wrong."""

_FIT_TOKENS_PER_S = 500.0
"""SmolLM2-135M on two cores with AVX512-BF16 (bench/), counting prompt and completion."""

_WRITTEN_TOKENS_PER_S = 150.0
"""The same student and machine, under vLLM."""

_RATES = "SmolLM2-135M on two cores; a GPU takes a hundredth"


@dataclass(frozen=True, slots=True)
class Questions:
    """How many there are, and how long: tokens of the mean question."""

    train: int
    dev: int
    test: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage, where it stands, and what it would cost."""

    standing: Standing
    estimate: Estimate


def plan(config: Config, folder: Path, stages: Sequence[Stage], last: str = "") -> list[Planned]:
    """What bringing every stage up to `last` to its end would cost.

    Questions that were not read before are read into a folder that is deleted again; nothing is
    changed in the run folder.

    Raises: ConfigurationError of the data.
    """
    quiet = Progress(quiet=True)
    run = Run(config, folder, stages=stages, progress=quiet)
    read = next(one for one in run.standings() if one.stage.name == DATA)
    if read.state is State.DONE:
        return _planned(run, last)
    # Every stage rests on the questions, so none of this configuration is done.
    with tempfile.TemporaryDirectory(prefix="nesycd-plan-") as name:
        trial = Run(config, Path(name), stages=stages, progress=quiet)
        trial.run(DATA)
        return _planned(trial, last)


def _planned(run: Run, last: str) -> list[Planned]:
    estimates = list(run.estimates(last))
    data = next(one.folder for one, _ in estimates if one.stage.name == DATA)
    assert data is not None  # noqa: S101 - it is done
    questions = _questions(data)
    return [
        Planned(standing, known or _forecast(standing.stage.name, run.config, questions))
        for standing, known in estimates
    ]


def _questions(data: Path) -> Questions:
    parts = {
        part: list(read_rows(data / f"{part}.jsonl", Question)) for part in ("train", "dev", "test")
    }
    lengths = [len(question.text) for part in parts.values() for question in part]
    return Questions(
        **{name: len(part) for name, part in parts.items()},
        tokens=sum(lengths) // _CHARACTERS_PER_TOKEN // max(1, len(lengths)),
    )


def _forecast(name: str, config: Config, questions: Questions) -> Estimate:
    forecast = _FORECASTS.get(name)
    return forecast(config, questions) if forecast else Estimate(note="seconds")


def _fit_sp(config: Config, questions: Questions) -> Estimate:
    rows = questions.train * config.teach.samples
    return _fit(config.fit_sp, rows, questions.tokens + _INSTRUCTION_TOKENS + _RATIONALE_TOKENS)


def _fit_se(config: Config, questions: Questions) -> Estimate:
    read = questions.tokens + _INSTRUCTION_TOKENS
    tokens = {
        "AD": read + _KNOWLEDGE_TOKENS + _RATIONALE_TOKENS,
        "AP": read + _ANSWER_TOKENS,
        "DC": read + _RATIONALE_TOKENS,
    }
    tasks = [task for task, weight in config.mix.task_weights.items() if weight]
    mean = sum(tokens[task] for task in tasks) // len(tasks)
    return _fit(config.fit_se, len(tasks) * questions.train * config.teach.samples, mean)


def _fit(fit: FitConfig, rows: int, tokens_per_row: int) -> Estimate:
    tokens = round(rows * tokens_per_row * fit.epochs)
    return Estimate(
        rows=rows,
        completion_tokens=tokens,
        seconds=tokens / _FIT_TOKENS_PER_S,
        note=f"at most: if the filter keeps all; {_RATES}",
    )


def _mine(config: Config, questions: Questions) -> Estimate:
    answers = _answers(questions.train, questions, config.mine.max_new_tokens)
    if not config.mine.folds:
        return answers
    folds = config.mine.folds - 1  # each leaves one part out, so together this often all of it
    fitted = _fit_sp(config, questions)
    return Estimate(
        rows=answers.rows,
        prompt_tokens=answers.prompt_tokens,
        completion_tokens=answers.completion_tokens + folds * fitted.completion_tokens,
        seconds=answers.seconds + folds * fitted.seconds,
        note=f"{config.mine.folds} fits more; {_RATES}",
    )


def _distil(config: Config, questions: Questions) -> Estimate:
    rows = min(round(_ERROR_SHARE * questions.train), config.distil.max_errors or questions.train)
    read = rows * (questions.tokens + _LESSON_PROMPT_TOKENS)
    written = rows * min(_LESSON_TOKENS, config.distil.max_new_tokens)
    teacher, usd = config.distil.teacher, 0.0
    if isinstance(teacher, EndpointTeacher):
        usd = teacher.usd(read, written)
    return Estimate(
        rows=rows,
        prompt_tokens=read,
        completion_tokens=written,
        usd=usd,
        note=f"if S_P gets {_ERROR_SHARE:.0%} wrong; asking again comes on top",
    )


def _calibrate(config: Config, questions: Questions) -> Estimate:
    return _answers(2 * questions.dev, questions, config.evaluate.max_new_tokens)


def _evaluate(config: Config, questions: Questions) -> Estimate:
    asked = len(config.evaluate.systems) * questions.test
    return _answers(asked, questions, config.evaluate.max_new_tokens)


def _answers(rows: int, questions: Questions, most_tokens: int) -> Estimate:
    tokens = min(_RATIONALE_TOKENS, most_tokens)
    written = rows * tokens
    return Estimate(
        rows=rows,
        prompt_tokens=rows * (questions.tokens + _INSTRUCTION_TOKENS + _KNOWLEDGE_TOKENS),
        completion_tokens=written,
        seconds=written / _WRITTEN_TOKENS_PER_S,
        note=f"{tokens} tokens an answer; {_RATES}",
    )


_FORECASTS: dict[str, Callable[[Config, Questions], Estimate]] = {
    "fit-sp": _fit_sp,
    "mine": _mine,
    "distil-knowledge": _distil,
    "fit-se": _fit_se,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
}
