"""Stage `filter`: keeps the rationales that arrive at the gold answer, in one form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from services.common.errors import ConfigurationError
from training.config import Config
from training.data.card import Card, licences, wishes
from training.manifest import Value
from training.row_file import read_rows, write_rows
from training.rows import Question, Rationale
from training.stage import Estimate, Job
from training.stages.teach import RATIONALES
from training.teachers.judging import Refusal, judge

_ABOUT: Final = (
    "`kept.jsonl` has the rationales whose own answer is the gold one, each ended by the same "
    "answer sentence; `rejected.jsonl` has the others as they were written, with the reason. A "
    "right answer does not prove right reasoning."
)


class Filter:
    """Judges each rationale; see `judging.judge`."""

    name = "filter"
    needs = ("data", "teach")

    def settings(self, config: Config) -> dict[str, object]:  # noqa: ARG002 - a stage's signature
        """None: it depends on its inputs alone."""
        return {}

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:  # noqa: ARG002 - a stage's signature
        """Nothing to speak of."""
        return Estimate(note="reads what the teacher wrote")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes kept.jsonl, rejected.jsonl and the card.

        Raises: ConfigurationError when nothing is kept; rejected.jsonl says why.
        """
        questions = list(read_rows(job.inputs["data"] / "train.jsonl", Question))
        rationales = list(read_rows(job.inputs["teach"] / RATIONALES, Rationale))
        written = [row for row in rationales if not row.error]
        judged = _judged(questions, written)
        kept = [row for row in judged if not row.reason]
        rejected = [row for row in judged if row.reason]
        write_rows(job.folder / "kept.jsonl", iter(kept))
        write_rows(job.folder / "rejected.jsonl", iter(rejected))
        reasons = Counter(row.reason for row in rejected)
        if not kept:
            raise ConfigurationError(
                f"filter: not one of {len(judged)} rationales is kept ({_said(reasons)}); see "
                f"{job.folder / 'rejected.jsonl'}"
            )
        _card(job.config, questions, kept, rejected).write(job.folder)
        return {
            "kept": len(kept),
            "rejected": len(rejected),
            "kept_share": round(len(kept) / len(judged), 4),
            "questions": len({row.question for row in kept}),
            **{f"rejected, {reason}": count for reason, count in reasons.most_common()},
        }


def _judged(questions: Iterable[Question], written: Iterable[Rationale]) -> list[Rationale]:
    """All rationales judged, in the order of the questions, however they came in."""
    by_question: dict[str, list[Rationale]] = {question.key: [] for question in questions}
    for row in written:
        by_question[row.question].append(row)
    judged = []
    for question in questions:
        texts: set[str] = set()
        for row in sorted(by_question[question.key], key=lambda row: row.key):
            one = judge(question, row)
            if not one.reason and one.text in texts:
                one = row.model_copy(
                    update={"answer": one.answer, "reason": Refusal.REPEATED.value}
                )
            texts.add(one.text)
            judged.append(one)
    return judged


def _said(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())


def _card(
    config: Config, questions: list[Question], kept: list[Rationale], rejected: list[Rationale]
) -> Card:
    groups = {question.key: (question.dataset, question.task) for question in questions}
    good = Counter(groups[row.question] for row in kept)
    bad = Counter(groups[row.question] for row in rejected)
    why = {
        refusal: Counter(groups[row.question] for row in rejected if row.reason == refusal)
        for refusal in Refusal
        if any(row.reason == refusal for row in rejected)
    }
    datasets = {question.dataset for question in questions}
    rows = [
        [*group, good[group], bad[group], _share(good[group], bad[group])]
        + [count[group] for count in why.values()]
        for group in sorted({*good, *bad})
    ]
    rows.append(
        ["all", "", len(kept), len(rejected), _share(len(kept), len(rejected))]
        + [count.total() for count in why.values()]
    )
    return Card(
        title=f"Kept rationales of {config.name}",
        about=[
            _ABOUT,
            "Texts that a model wrote may fall under its maker's terms as well.",
            *wishes(datasets),
        ],
        facts={
            "Teacher": ", ".join(sorted({row.teacher for row in (*kept, *rejected)})),
            "Licence of the questions": licences(datasets),
        },
        columns=("benchmark", "task", "kept", "rejected", "share kept", *map(str, why)),
        rows=rows,
    )


def _share(kept: int, rejected: int) -> str:
    return f"{kept / (kept + rejected):.0%}"


STAGE = Filter()
