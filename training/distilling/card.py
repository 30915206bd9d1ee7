"""What became of the lessons, in numbers, for people: card.md beside the dump."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from services.common.records import EntryKind
from training.data.card import licences, wishes
from training.distilling.entries import Sorted
from training.distilling.prompts import VERSION
from training.rows import Lesson, Question


def card(lessons: Sequence[Lesson], questions: Mapping[str, Question], found: Sorted) -> str:
    """The card, as Markdown.

    Args:
        lessons: all that were written or failed.
        questions: theirs, by key.
        found: what became of them.
    """
    datasets = {questions[lesson.question].dataset for lesson in lessons}
    teachers = sorted({lesson.teacher for lesson in lessons if lesson.teacher})
    replies = sum(len(lesson.asked) for lesson in lessons)
    again = sum(max(0, len(lesson.asked) - 1) for lesson in lessons)
    read = sum(lesson.prompt_tokens for lesson in lessons)
    written = sum(lesson.completion_tokens for lesson in lessons)
    return f"""# Distilled knowledge

Made of a student's errors by a teacher model; no person has read it. What a model wrote may fall
under the terms of its maker.{"".join(f" {wish}" for wish in wishes(datasets))}

- Teacher: {", ".join(teachers) or "none"}
- Licence of the questions: {licences(datasets) or "unknown"}
- Prompts: version {VERSION} of training/distilling/prompts.py
- Errors: {len(lessons)}; replies: {replies}, of which {again} were asked for again
- Tokens: {read:,} read, {written:,} written

## By task

{_by_task(found)}

## What was rejected

{_table(("What", "Why", "Count"), _rejections(found))}

## Why replies were refused and asked for again

{_table(("Why", "Replies"), _refusals(lessons))}
"""


def _by_task(found: Sorted) -> str:
    counts: dict[str, Counter[str]] = {}
    for entry in found.entries:
        counts.setdefault(entry.task, Counter())[entry.kind.value] += 1
    for row in found.rejected:
        counts.setdefault(row.task, Counter())["rejected"] += 1
    columns = [*(kind.value for kind in EntryKind), "rejected"]
    rows = [
        (task or "(none)", *(str(counts[task][column]) for column in columns))
        for task in sorted(counts)
    ]
    return _table(("Task", "Notes", "Rules", "Facts", "Rejected"), rows)


def _rejections(found: Sorted) -> list[tuple[str, ...]]:
    counts = Counter((row.kind, row.cause.value) for row in found.rejected)
    return [(kind, cause, str(count)) for (kind, cause), count in sorted(counts.items())]


def _refusals(lessons: Sequence[Lesson]) -> list[tuple[str, ...]]:
    counts = Counter(refusal.partition(":")[0] for lesson in lessons for refusal in lesson.refusals)
    return [(cause, str(count)) for cause, count in sorted(counts.items())]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "None."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
