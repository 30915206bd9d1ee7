"""Texts that go round in a loop, told by their words (method notes, demonstration collection)."""

from __future__ import annotations

import re
from typing import Final

LONGEST_PATTERN: Final = 32
"""Words and signs that may repeat, as many tokens as the engine looks at."""

TIMES: Final = 6
SHORTEST_LOOP: Final = 48
"""Words and signs that a loop spans at least: short lists and sums repeat themselves rightly."""

_WORD = re.compile(r"\w+|[^\w\s]")


def is_repetitive(text: str) -> bool:
    """Whether a text says the same few words at least TIMES times, one after the other."""
    words = _WORD.findall(text.casefold())
    for period in range(1, LONGEST_PATTERN + 1):
        wanted = max((TIMES - 1) * period, SHORTEST_LOOP - period)
        same = 0
        for place in range(period, len(words)):
            same = same + 1 if words[place] == words[place - period] else 0
            if same >= wanted:
                return True
    return False
