"""What changed between two revisions of an entry, and between two releases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from services.common.records import Entry
from services.knowledge.content import fields_of

ChangeKind: TypeAlias = Literal["added", "removed", "changed"]

_NOT_CONTENT = frozenset({"id", "revision"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs, as people read it: a list has one line per item, "" is nothing."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class EntryDiff:
    """An entry that two releases do not have alike; `old` or `new` is None where it is missing.

    `changes` is empty when only the revision's number differs.
    """

    entry_id: str
    old: Entry | None
    new: Entry | None
    changes: tuple[FieldChange, ...]

    @property
    def change(self) -> ChangeKind:
        """What became of the entry."""
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


def field_changes(old: Entry | None, new: Entry | None) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of a dump's row; the revision's number does not count.

    Against None every filled field differs.
    """
    before, after = _rendered(old), _rendered(new)
    return tuple(
        FieldChange(field, before.get(field, ""), after.get(field, ""))
        for field in before | after
        if before.get(field, "") != after.get(field, "")
    )


def _rendered(entry: Entry | None) -> dict[str, str]:
    if entry is None:
        return {}
    fields = {"kind": entry.kind.value, **fields_of(entry)}
    return {name: _text(value) for name, value in fields.items() if name not in _NOT_CONTENT}


def _text(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, tuple) else str(value)


async def diff_entries(
    old: AsyncIterator[Entry], new: AsyncIterator[Entry]
) -> AsyncIterator[EntryDiff]:
    """Compares two streams of entries, both by id in code point order, holding two at a time.

    Yields: a difference for each entry that was added, removed or changed, by id.
    """
    before, after = await anext(old, None), await anext(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before.id < after.id):
            assert before is not None  # noqa: S101 - one of the two is there
            yield EntryDiff(before.id, before, None, field_changes(before, None))
            before = await anext(old, None)
        elif before is None or after.id < before.id:
            yield EntryDiff(after.id, None, after, field_changes(None, after))
            after = await anext(new, None)
        else:
            if before != after:
                yield EntryDiff(after.id, before, after, field_changes(before, after))
            before, after = await anext(old, None), await anext(new, None)
