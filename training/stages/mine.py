"""Stage 2 of NesyCD: S_P answers its own train questions, and what it gets wrong is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from services.common.errors import ConfigurationError
from services.common.records import RetrievalMode
from services.common.settings import load_settings
from services.student.models import display_name, prepare_student
from training.config import Config
from training.examples import chain_of_thought
from training.folds import assign_folds
from training.inference import finish_rows
from training.manifest import Value
from training.row_file import RowFile, read_rows, write_rows
from training.rows import Attempt, Example, Question, Rationale
from training.stage import Estimate, Job

if TYPE_CHECKING:
    from training.answering import Answerer

ATTEMPTS = "attempts.jsonl"
ERRORS = "errors.jsonl"
_FOLDS = ".folds"
_STUDENT = {"backend", "dtype", "max_model_len"}
_REASONER = {"direct_max_new_tokens", "conclude"}
_HOW_IT_IS_DONE = {"save_steps", "processes"}


class Mine:
    """Answers what has no attempt yet, without knowledge."""

    name = "mine"
    needs = ("data", "filter", "fit-sp")

    def settings(self, config: Config) -> dict[str, object]:
        """What the answers depend on; with folds, what their students do too."""
        settings: dict[str, object] = {
            "model": display_name(config.student.model),
            "student": config.student.model_dump(mode="json", include=_STUDENT),
            "reasoner": config.reasoner.model_dump(mode="json", include=_REASONER),
            **config.mine.model_dump(mode="json"),
        }
        if config.mine.folds:
            fit = config.fit_sp.model_dump(mode="json", exclude=_HOW_IT_IS_DONE)
            settings |= {"seed": config.seed, "fit": fit}
        return settings

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """At most max_new_tokens per question without an attempt."""
        questions = list(read_rows(job.inputs["data"] / "train.jsonl", Question))
        done = {row.key for row in read_rows(job.folder / ATTEMPTS, Attempt) if not row.error}
        left = sum(question.key not in done for question in questions)
        folds = job.config.mine.folds
        return Estimate(
            rows=left,
            completion_tokens=left * job.config.mine.max_new_tokens,
            note=f"at most; {folds} more fits of S_P come on top" if folds else "at most",
        )

    def run(self, job: Job) -> dict[str, Value]:
        """Writes attempts.jsonl and errors.jsonl, in the order of the questions.

        Raises: ConfigurationError when answers failed, or no question fits the student.
        """
        from training.answering import Asked  # noqa: PLC0415 - brings the knowledge base

        questions = list(read_rows(job.inputs["data"] / "train.jsonl", Question))
        if not questions:
            raise ConfigurationError(f"{job.inputs['data'] / 'train.jsonl'} holds no question")
        folds = job.config.mine.folds
        systems = dict.fromkeys((one.key for one in questions), "sp")
        if folds:
            assigned = assign_folds(questions, folds, seed=job.config.seed)
            systems = {key: f"fold-{fold}" for key, fold in assigned.items()}
        path = job.folder / ATTEMPTS
        with RowFile(path, Attempt) as rows:
            finish_rows(
                [Asked(key=one.key, system=systems[one.key], question=one) for one in questions],
                rows,
                lambda: _answerer(job, _adapters(job, questions, systems), set(systems.values())),
                what="answers",
                in_flight=job.config.in_flight,
                progress=job.progress,
                cluster=job.cluster,
            )
        attempts = _in_order(path, questions)
        errors = [attempt for attempt in attempts if not attempt.correct]
        write_rows(path, iter(attempts))
        write_rows(job.folder / ERRORS, iter(errors))
        kinds = Counter(attempt.degenerate for attempt in errors if attempt.degenerate)
        return {
            "questions": len(attempts),
            "errors": len(errors),
            "accuracy": round(1 - len(errors) / len(attempts), 4),
            "unparsed": sum(attempt.unparsed for attempt in attempts),
            **dict(sorted(kinds.items())),
        }


STAGE = Mine()


def _answerer(job: Job, adapters: Path, names: set[str]) -> Answerer:
    from training.answering import Answerer, System  # noqa: PLC0415 - brings the knowledge base

    config = job.config
    return Answerer(
        student=config.student.model_copy(update={"adapters_dir": adapters}),
        reasoner=config.reasoner,
        embedder=config.knowledge,
        systems={
            name: System(adapter=f"{name}@v1", mode=RetrievalMode.NEVER) for name in sorted(names)
        },
        knowledge={},
        max_new_tokens=config.mine.max_new_tokens,
    )


def _in_order(path: Path, questions: list[Question]) -> list[Attempt]:
    """An attempt for each question. Raises: ConfigurationError."""
    attempts = {row.key: row for row in read_rows(path, Attempt)}
    failed = [row for row in attempts.values() if row.error]
    if failed:
        raise ConfigurationError(
            f"{path}: {len(failed)} of {len(attempts)} answers failed, first {failed[0].key}: "
            f"{failed[0].error}. The others are kept; the same command tries these again."
        )
    if all(row.degenerate == "too_long" for row in attempts.values()):
        raise ConfigurationError(
            f"{path}: no question fits the student with mine.max_new_tokens on top; raise "
            f"student.max_model_len or lower mine.max_new_tokens"
        )
    return [attempts[question.key] for question in questions]


def _adapters(job: Job, questions: list[Question], systems: Mapping[str, str]) -> Path:
    """The folder of S_P, or of one student per fold, each fitted on the other folds."""
    if not job.config.mine.folds:
        return job.inputs["fit-sp"] / "adapters"
    by_key = {question.key: question for question in questions}
    path = job.inputs["filter"] / "kept.jsonl"
    kept = list(read_rows(path, Rationale))
    for one in kept:
        if one.question not in by_key:
            raise ConfigurationError(
                f"{path}: {one.key}: there is no train question {one.question!r}"
            )
    for name in sorted(set(systems.values())):
        examples = [
            chain_of_thought(by_key[one.question], one)
            for one in kept
            if systems[one.question] != name
        ]
        job.progress.say(f"{name}: fits S_P on the {len(examples)} rationales of the others")
        _fit(job, name, examples)
    return job.folder / _FOLDS / "adapters"


def _fit(job: Job, name: str, examples: list[Example]) -> None:
    """Fits the student of one fold, and puts a link to it beside those of the others."""
    from training.fitting.fit import fit_adapter  # noqa: PLC0415 - as above
    from training.fitting.spec import FitSpec  # noqa: PLC0415

    config, out = job.config, job.folder / _FOLDS / name
    settings = load_settings().model_copy(update={"student": config.student})
    student = prepare_student(settings, job.progress.say)
    spec = FitSpec(
        student=student,
        base_name=display_name(student),
        name=name,
        version="v1",
        fit=config.fit_sp,
        seed=config.seed,
        max_rank=config.student.max_lora_rank,
        about="A student of one fold, for mining.",
    )
    link = job.folder / _FOLDS / "adapters" / name
    try:
        out.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)  # the run folder may have been moved
        link.symlink_to((out / "adapters" / name).resolve(), target_is_directory=True)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    write_rows(out / "examples.jsonl", iter(examples))
    fit_adapter(out / "examples.jsonl", spec, out, job.progress)
