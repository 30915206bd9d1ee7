"""Stage `teach`: what the teacher writes to each train question, right or wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from services.common.errors import ConfigurationError
from training.config import Config, EndpointTeacher, LocalTeacher, RecordedTeacher
from training.data.card import Card, licences, wishes
from training.inference import finish_rows
from training.manifest import Value
from training.row_file import RowFile, read_rows
from training.rows import Question, Rationale
from training.stage import Estimate, Job
from training.teachers.factory import (
    check_teacher,
    prepare_teacher,
    requests_in_flight,
    teacher_name,
    teacher_settings,
)
from training.teachers.prompts import VERSION, teach_messages
from training.teachers.writing import RationaleWriter, Wanted, wanted

RATIONALES: Final = "rationales.jsonl"

_PASSES = 2
"""Rows that failed are asked for once more at the end, when a busy endpoint has had time."""

_CHARACTERS_PER_TOKEN = 4
_RATIONALE_TOKENS = 200  # of code-davinci-002 on BBH: 190 on average, by characters
_LOCAL_TOKENS_PER_S = 13.0  # a 1.5B model on two cores
_ENDPOINT_TOKENS_PER_S = 40.0  # of one request

_ABOUT: Final = (
    "What the teacher wrote to each train question, right or wrong. Rows with `error` have no text."
)


class Teach:
    """Asks for `samples` rationales of each question; see `writing.RationaleWriter`."""

    name = "teach"
    needs = ("data",)

    def settings(self, config: Config) -> dict[str, object]:
        """Of what the texts depend on."""
        return {
            "teacher": teacher_settings(config.teach.teacher),
            "samples": config.teach.samples,
            "temperature": config.teach.temperature,
            "max_new_tokens": config.teach.max_new_tokens,
            "prompt": VERSION,
        }

    def files(self, config: Config) -> tuple[Path, ...]:
        """Of a recorded teacher."""
        teacher = config.teach.teacher
        return teacher.paths if isinstance(teacher, RecordedTeacher) else ()

    def estimate(self, job: Job) -> Estimate:
        """Tokens by characters, time by the rates of this module, money by configured prices."""
        teacher = job.config.teach.teacher
        questions = _questions(job)
        done = {row.key for row in read_rows(job.folder / RATIONALES, Rationale) if not row.error}
        left = [one for one in wanted(questions, job.config.teach.samples) if one.key not in done]
        if isinstance(teacher, RecordedTeacher):
            return Estimate(rows=len(left), note="read from files")
        read = sum(map(_prompt_tokens, left))
        written = len(left) * min(_RATIONALE_TOKENS, job.config.teach.max_new_tokens)
        seconds, usd = 0.0, 0.0
        if isinstance(teacher, LocalTeacher):
            seconds = written / _LOCAL_TOKENS_PER_S
        elif isinstance(teacher, EndpointTeacher):
            seconds = written / _ENDPOINT_TOKENS_PER_S / teacher.in_flight
            usd = teacher.usd(read, written)
        return Estimate(
            rows=len(left),
            prompt_tokens=read,
            completion_tokens=written,
            seconds=seconds,
            usd=usd,
            note=f"{_RATIONALE_TOKENS} tokens a rationale",
        )

    def run(self, job: Job) -> dict[str, Value]:
        """Writes rationales.jsonl, a row for each question and sample, and the card.

        Raises: ConfigurationError when the teacher stops the work, or not one row has a text.
        """
        teacher = job.config.teach.teacher
        _check_samples(job.config)
        check_teacher(teacher)
        questions = _questions(job)
        items = wanted(questions, job.config.teach.samples)
        # What a file does not have, it will not have in a second pass either.
        passes = 1 if isinstance(teacher, RecordedTeacher) else _PASSES
        with RowFile(job.folder / RATIONALES, Rationale) as rows:
            prepare_teacher(teacher, job.progress.say)
            finish_rows(
                items,
                rows,
                lambda: RationaleWriter(job.config.teach, job.folder.parent),
                what="rationales",
                in_flight=requests_in_flight(teacher),
                progress=job.progress,
                cluster=job.cluster,
                passes=passes,
            )
        rationales = list(read_rows(job.folder / RATIONALES, Rationale))
        failed = [row for row in rationales if row.error]
        if len(failed) == len(rationales):
            raise ConfigurationError(
                f"teach: no question of {len(questions)} has a rationale; the first failure: "
                f"{failed[0].key}: {failed[0].error}"
            )
        _card(job.config, questions, rationales).write(job.folder)
        return _counts(job.config, rationales)


def _questions(job: Job) -> list[Question]:
    return list(read_rows(job.inputs["data"] / "train.jsonl", Question))


def _check_samples(config: Config) -> None:
    if config.teach.samples > 1 and config.teach.teacher.kind in ("local", "scripted"):
        raise ConfigurationError(
            f"teach.samples: a {config.teach.teacher.kind} teacher is greedy, so "
            f"{config.teach.samples} samples of it are all the same"
        )


def _prompt_tokens(one: Wanted) -> int:
    messages = teach_messages(one.question.text)
    return sum(len(message.text) for message in messages) // _CHARACTERS_PER_TOKEN


def _counts(config: Config, rationales: list[Rationale]) -> dict[str, Value]:
    read = sum(row.prompt_tokens for row in rationales)
    written = sum(row.completion_tokens for row in rationales)
    counts: dict[str, Value] = {
        "rationales": sum(not row.error for row in rationales),
        "errors": sum(bool(row.error) for row in rationales),
        "prompt_tokens": read,
        "completion_tokens": written,
    }
    teacher = config.teach.teacher
    if isinstance(teacher, EndpointTeacher):
        counts["usd"] = round(teacher.usd(read, written), 6)
    return counts


def _card(config: Config, questions: list[Question], rationales: list[Rationale]) -> Card:
    by_key = {question.key: question for question in questions}
    written: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    errors: dict[str, int] = defaultdict(int)
    for row in rationales:
        question = by_key[row.question]
        (failed if row.error else written)[question.dataset, question.task] += 1
        if row.error:
            errors[row.error] += 1
    writers = sorted({row.teacher for row in rationales if row.teacher})
    datasets = {question.dataset for question in questions}
    groups = sorted({*written, *failed})
    return Card(
        title=f"Rationales for {config.name}",
        about=[
            _ABOUT,
            "Texts that a model wrote may fall under its maker's terms as well.",
            *wishes(datasets),
        ],
        facts={
            "Teacher": f"{', '.join(writers)} ({teacher_name(config.teach.teacher)})",
            **_how(config),
            "Licence of the questions": licences(datasets),
        },
        columns=("benchmark", "task", "rationales", "errors"),
        rows=[
            *([*group, written[group], failed[group]] for group in groups),
            ["all", "", written.total(), failed.total()],
        ],
    )


def _how(config: Config) -> dict[str, str]:
    if isinstance(config.teach.teacher, RecordedTeacher):
        return {"Prompt": "of those who made the files"}
    return {
        "Prompt": f"version {VERSION} of training/teachers/prompts.py; it has no gold answers",
        "Samples per question": str(config.teach.samples),
        "Temperature": str(config.teach.temperature),
    }


STAGE = Teach()
