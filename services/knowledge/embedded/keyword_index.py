"""The keyword leg: BM25 over postings kept as numpy arrays (docs/adr/0002-keyword-engine.md)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.knowledge.terms import terms

TERM_LIMIT = 64
"""Terms of a question that are looked up; of a longer one its rarest."""

_K1 = 1.2
_B = 0.75


@dataclass(frozen=True, slots=True)
class Tokens:
    """The terms of a release's questions, as numbers.

    Attributes:
        terms: the number of each term.
        occurrences: those of all questions one after another, int32.
        lengths: how many each question has, int64, shape (n,).
    """

    terms: Mapping[str, int]
    occurrences: NDArray[np.int32]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, questions: Iterable[str], known: Mapping[str, int] | None = None) -> Tokens:
        """Tokenises questions; terms that are `known` keep their numbers."""
        numbers = dict(known or {})
        occurrences, lengths = array("i"), array("q")
        for question in questions:
            words = terms(question)
            occurrences.extend([numbers.setdefault(word, len(numbers)) for word in words])
            lengths.append(len(words))
        return cls(
            numbers, np.array(occurrences, dtype=np.int32), np.array(lengths, dtype=np.int64)
        )

    def followed_by(self, later: Tokens) -> Tokens:
        """Both one after the other; `later` was made knowing the terms of this one."""
        return Tokens(
            later.terms,
            np.concatenate([self.occurrences, later.occurrences]),
            np.concatenate([self.lengths, later.lengths]),
        )

    def of_rows(self, rows: NDArray[np.int64]) -> Tokens:
        """Those of some questions, in that order."""
        lengths = self.lengths[rows]
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        # Of each occurrence the place it comes from: its question's start, and its own there.
        own = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Tokens(self.terms, self.occurrences[np.repeat(starts, lengths) + own], lengths)


class KeywordIndex:
    """BM25 scores of one release's questions.

    What each posting adds to a score is computed when the index is built (as bm25s does),
    so a query sums a few array slices. Immutable: threads may share it.

    Robertson and Zaragoza's BM25 in Lucene's form, k1 = 1.2, b = 0.75, without the constant
    factor k1 + 1. A term repeated in the query counts once.

    Args:
        tokens: of one question per entry, in release order.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._terms, lengths = tokens.terms, tokens.lengths
        self._size = len(lengths)
        # One number per occurrence, term-major: sorting it groups postings by term.
        keys = tokens.occurrences.astype(np.int64) * max(self._size, 1)
        keys += np.repeat(np.arange(self._size), lengths)
        postings, frequencies = np.unique(keys, return_counts=True)
        term_of, entries = np.divmod(postings, max(self._size, 1))
        self._entries = entries.astype(np.int32)
        self._starts = np.searchsorted(term_of, np.arange(len(self._terms) + 1))
        holders = np.diff(self._starts)
        idf = np.log1p((self._size - holders + 0.5) / (holders + 0.5))
        longness = lengths / max(float(lengths.mean()), 1.0) if self._size else lengths
        dampening = _K1 * (1 - _B + _B * longness[entries])
        self._weights = (idf[term_of] * frequencies / (frequencies + dampening)).astype(np.float32)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every entry, shape (n,); 0 where no word is shared."""
        found = {word: self._postings(word) for word in terms(question) if word in self._terms}
        # A term that lost its last entry is known still, but looked up in vain.
        held = [word for word, postings in found.items() if postings.stop > postings.start]
        rarest = sorted(held, key=lambda word: (found[word].stop - found[word].start, word))
        scores = np.zeros(self._size, dtype=np.float32)
        for word in rarest[:TERM_LIMIT]:
            np.add.at(scores, self._entries[found[word]], self._weights[found[word]])
        return scores

    def _postings(self, word: str) -> slice:
        term = self._terms[word]
        return slice(int(self._starts[term]), int(self._starts[term + 1]))
