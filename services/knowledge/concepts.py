"""Concepts: the nodes of the knowledge graph, told apart by their names alone."""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 6
"""Words of the longest concept name that is looked for in a question."""

_WORD = re.compile(r"[^\W_]+")


def concept_key(text: str) -> str:
    """What two spellings of one concept have in common.

    NFKC, case folded, with white space and underscores as single spaces.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.replace("_", " ").split())


def mentioned(text: str) -> list[str]:
    """Keys of all that the text may name: its runs of 1 to 6 words, in order, each once."""
    words = _WORD.findall(concept_key(text))
    runs = (
        " ".join(words[start : start + length])
        for start in range(len(words))
        for length in range(1, min(LONGEST_NAME, len(words) - start) + 1)
    )
    return list(dict.fromkeys(runs))
