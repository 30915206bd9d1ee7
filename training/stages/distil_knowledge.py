"""Stage 3a of NesyCD: the teacher makes a lesson of each error."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from services.common.errors import ConfigurationError
from training.config import Config, EndpointTeacher
from training.data.draws import evenly
from training.distilling.distiller import Distiller, Mistake
from training.distilling.prompts import VERSION, ask
from training.inference import finish_rows
from training.manifest import Value
from training.row_file import RowFile, read_rows
from training.rows import Attempt, Lesson, Question
from training.stage import Estimate, Job
from training.teachers.factory import (
    open_teacher,
    prepare_teacher,
    requests_in_flight,
    teacher_settings,
)

LESSONS = "lessons.jsonl"
_PASSES = 2
"""Requests that got no reply are tried once more, when all others are done."""

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_LESSON = 250


class DistilKnowledge:
    """Asks for the lessons that are not there yet."""

    name = "distil-knowledge"
    needs = ("data", "mine")

    def settings(self, config: Config) -> dict[str, object]:
        """What the lessons depend on; not what they cost."""
        return {
            "teacher": teacher_settings(config.distil.teacher),
            **config.distil.model_dump(
                mode="json",
                include={"temperature", "max_new_tokens", "attempts", "graph", "max_errors"},
            ),
            "prompts": VERSION,
            "seed": config.seed,
        }

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """One reply per error that has no lesson yet; re-asking comes on top."""
        config, path = job.config.distil, job.folder / LESSONS
        done = {row.key for row in read_rows(path, Lesson) if not row.error}
        left = [one for one in _mistakes(job) if one.key not in done]
        characters = sum(
            len(message.text)
            for one in left
            for message in ask(
                one.question.text, one.solution, one.question.gold, graph=config.graph
            )
        )
        read = characters // _CHARACTERS_PER_TOKEN
        written = len(left) * min(_TOKENS_PER_LESSON, config.max_new_tokens)
        usd = 0.0
        if isinstance(config.teacher, EndpointTeacher):
            usd = config.teacher.usd(read, written)
        return Estimate(
            rows=len(left),
            prompt_tokens=read,
            completion_tokens=written,
            usd=usd,
            note=f"one reply of {_TOKENS_PER_LESSON} tokens each; up to {config.attempts} replies",
        )

    def run(self, job: Job) -> dict[str, Value]:
        """Writes lessons.jsonl, in the order of the errors.

        Raises: ConfigurationError when there are no errors to learn from, or no request got a
        reply.
        """
        config, mistakes = job.config.distil, _mistakes(job)
        if not mistakes:
            raise ConfigurationError(
                f"{job.inputs['mine'] / 'errors.jsonl'}: the student made no error, so there is "
                f"nothing to distil; take more or harder questions, or mine.folds"
            )
        distiller = Distiller(
            partial(open_teacher, config.teacher, job.folder.parent),
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            attempts=config.attempts,
            graph=config.graph,
        )
        with RowFile(job.folder / LESSONS, Lesson) as rows:
            prepare_teacher(config.teacher, job.progress.say)
            finish_rows(
                mistakes,
                rows,
                lambda: distiller,
                what="lessons",
                in_flight=requests_in_flight(config.teacher),
                progress=job.progress,
                cluster=job.cluster,
                passes=_PASSES,
            )
        lessons = list(read_rows(job.folder / LESSONS, Lesson))
        failed = [lesson for lesson in lessons if lesson.error]
        if len(failed) == len(lessons):
            raise ConfigurationError(
                f"{job.folder / LESSONS}: none of {len(failed)} requests got a reply, first "
                f"{failed[0].key}: {failed[0].error}. The same command tries them again."
            )
        return _counts(lessons)


STAGE = DistilKnowledge()


def _mistakes(job: Job) -> list[Mistake]:
    """Those that are distilled, in the order of the errors."""
    questions = {one.key: one for one in read_rows(job.inputs["data"] / "train.jsonl", Question)}
    path = job.inputs["mine"] / "errors.jsonl"
    mistakes = []
    for error in read_rows(path, Attempt):
        if error.question not in questions:
            raise ConfigurationError(f"{path}: {error.key}: there is no question {error.question}")
        question = questions[error.question]
        mistakes.append(Mistake(key=question.key, question=question, solution=error.rationale))
    return evenly(
        mistakes,
        job.config.distil.max_errors,
        group=lambda one: one.question.task,
        seed=job.config.seed,
    )


def _counts(lessons: list[Lesson]) -> dict[str, Value]:
    causes = Counter(refusal.partition(":")[0] for lesson in lessons for refusal in lesson.refusals)
    return {
        "errors": len(lessons),
        "accepted": sum(lesson.is_accepted for lesson in lessons),
        "failed": sum(bool(lesson.error) for lesson in lessons),
        "replies": sum(len(lesson.asked) for lesson in lessons),
        **{f"refused for {cause}": count for cause, count in sorted(causes.items())},
        "prompt_tokens": sum(lesson.prompt_tokens for lesson in lessons),
        "completion_tokens": sum(lesson.completion_tokens for lesson in lessons),
    }
