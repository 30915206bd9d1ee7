"""The words that the keyword leg compares."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")

STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are as at be because been before being both but by
    can could did do does doing down during each few for from further had has have having he her
    here hers him his how i if in into is it its itself just me more most my no nor not now of off
    on once only or other our ours out over own s same she should so some such t than that the
    their theirs them then there these they this those through to too under until up very was we
    were what when where which while who whom why will with would you your yours
    """.split()  # noqa: SIM905
)
"""English function words: most of a long question's postings, little of its meaning."""


def terms(text: str) -> list[str]:
    """The lower-cased words and numbers of a text in order, without stop words.

    Any text is fine: query syntax, control characters and punctuation only separate words.
    """
    return [word for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]
