"""The teacher's reply, as text and as lists of points.

Teachers write headings in many ways ("## Learning Summary:", "**1. Learning summary** - ...")
and points as bullets, numbers or plain lines: all of it is read. What cannot be read is refused
with a reason that the teacher can act on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MOST_POINTS: Final = 12
"""In a section; the teacher is asked for at most six."""


class Cause(StrEnum):
    """Why a reply was refused, for counts."""

    FORM = "form"
    CUT_OFF = "cut off"
    LIMITS = "limits"
    REPETITION = "repetition"
    LEAK = "leak"
    COPY = "copy"


class RefusedError(ValueError):
    """A reply that is no lesson.

    Args:
        cause: what `str` begins with, before a colon.
        reason: one clause without a point at its end, which the teacher can act on.
    """

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(f"{cause.value}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Lines:
    """The points of each section.

    Attributes:
        learning_summary: in words.
        supplementary_knowledge: in words.
        rules: as written, not yet parsed.
        facts: subject, relation and object; what of these was missing is empty.
    """

    learning_summary: tuple[str, ...]
    supplementary_knowledge: tuple[str, ...]
    rules: tuple[str, ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()


_SUMMARY, _KNOWLEDGE, _RULES, _FACTS = (
    "Learning Summary",
    "Supplementary Knowledge",
    "Rules",
    "Facts",
)
_MARKS = r"[\s#>*_`\u2022-]*+"
_BEHIND = r"[\s*_]*+(?:\([^)]*\))?[\s*_]*+(?:[:\u2013\u2014-][\s*_]*+(?P<behind>.*))?"
_HEADINGS = {
    name: re.compile(rf"{_MARKS}(?:\(?\d{{1,2}}[.):])?{_MARKS}(?:{words}){_BEHIND}", re.IGNORECASE)
    for name, words in {
        _SUMMARY: "learning[ -]summar(?:y|ies)",
        _KNOWLEDGE: "supplement(?:ary|al)[ -]knowledge",
        _RULES: "rules",
        _FACTS: "facts",
    }.items()
}
_BULLET = re.compile(r"\s*(?:[-*+\u2022\u2023\u2013\u2014\u25cf\u25aa]\s+|\(?\d{1,2}[.)]\s+)")
_BOLD = re.compile(r"(?<![\w*])\*\*(?=[^\s*])(.+?)(?<=[^\s*])\*\*(?![\w*])")
_RULER = re.compile(r"\s*(?:[-*_=]\s*){3,}")
_NEXT_QUESTION = re.compile(rf"{_MARKS}(?:question|wrong solution){_MARKS}:.*", re.IGNORECASE)
_LABEL_WORDS = 5
"""Most words of a line that only names what follows it, such as "Key steps:"."""


@dataclass(slots=True)
class _Section:
    """The points of one section while its lines are read."""

    points: list[str] = field(default_factory=list)
    has_bullets: bool = False
    ends_in_point: bool = False

    def add(self, line: str) -> None:
        bullet = _BULLET.match(line)
        text = " ".join(line[bullet.end() if bullet else 0 :].split())
        text = _BOLD.sub(r"\1", text)
        is_label = text.endswith(":") and len(text.split()) <= _LABEL_WORDS
        if not text or is_label or _RULER.fullmatch(text):
            self.ends_in_point = False
        elif bullet is None and self.has_bullets and self.ends_in_point:
            self.points[-1] += f" {text}"
        else:
            self.points.append(text)
            self.ends_in_point = True
            self.has_bullets = self.has_bullets or bullet is not None


def read_lines(text: str, *, graph: bool = False) -> Lines:
    """Reads a reply.

    What stands before the first heading, and a second lesson behind the first, is left out.
    A line that goes on with the bullet above it is joined to it.

    Args:
        text: the reply.
        graph: look for the sections of rules and facts as well.

    Raises: RefusedError, a section is missing, empty or too long.
    """
    sections: dict[str, _Section] = {}
    current: _Section | None = None
    for line in text.splitlines():
        name, behind = _heading(line, graph=graph)
        if (name == _SUMMARY and len(sections) > 1) or _NEXT_QUESTION.fullmatch(line):
            break
        if name:
            current = sections.setdefault(name, _Section())
            current.add(behind)
        elif current is not None:
            current.add(line)
    return Lines(
        learning_summary=_points(sections, _SUMMARY),
        supplementary_knowledge=_points(sections, _KNOWLEDGE),
        rules=tuple(dict.fromkeys(point.strip("` ") for point in _raw(sections, _RULES))),
        facts=tuple(dict.fromkeys(map(_fact, _raw(sections, _FACTS)))),
    )


def write_lines(lines: Lines, *, graph: bool = False) -> str:
    """The reply that says this, as teachers are shown it; `read_lines` reads it back."""
    parts = [(_SUMMARY, lines.learning_summary), (_KNOWLEDGE, lines.supplementary_knowledge)]
    if graph:
        parts += [(_RULES, lines.rules), (_FACTS, tuple(map(" | ".join, lines.facts)))]
    return "\n\n".join(
        f"{name}:\n" + "\n".join(f"- {point}" for point in points)
        for name, points in parts
        if points
    )


def _heading(line: str, *, graph: bool) -> tuple[str, str]:
    """The section that a line begins, and what it says of it already; "" if it begins none."""
    for name in (_SUMMARY, _KNOWLEDGE, *((_RULES, _FACTS) if graph else ())):
        if found := _HEADINGS[name].fullmatch(line):
            return name, found["behind"] or ""
    return "", ""


def _raw(sections: dict[str, _Section], name: str) -> list[str]:
    return sections[name].points if name in sections else []


def _points(sections: dict[str, _Section], name: str) -> tuple[str, ...]:
    points = tuple(dict.fromkeys(_raw(sections, name)))
    if not points:
        how = "is empty" if name in sections else "is missing"
        raise RefusedError(Cause.FORM, f'the section "{name}:" {how}')
    if len(points) > MOST_POINTS:
        raise RefusedError(
            Cause.LIMITS, f'the section "{name}:" has {len(points)} points, at most six are asked'
        )
    return points


def _fact(point: str) -> tuple[str, str, str]:
    subject, relation, thing = [*(part.strip("` ") for part in point.split("|", 2)), "", ""][:3]
    return subject, re.sub(r"[\s-]+", "_", relation.lower()), thing
