"""The keyword leg: BM25 over postings kept as numpy arrays (docs/adr/0002-keyword-engine.md)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from services.knowledge.terms import terms

TERM_LIMIT = 64
"""Terms of a question that are looked up; of a longer one its rarest."""

_K1 = 1.2
_B = 0.75


class KeywordIndex:
    """BM25 scores of one release's questions.

    What each posting adds to a score is computed when the index is built (as bm25s does),
    so a query sums a few array slices. Immutable: threads may share it.

    Robertson and Zaragoza's BM25 in Lucene's form, k1 = 1.2, b = 0.75, without the constant
    factor k1 + 1. A term repeated in the query counts once.

    Args:
        questions: one per entry, in release order.
    """

    def __init__(self, questions: Iterable[str]) -> None:
        self._terms: dict[str, int] = {}
        occurrences, lengths = self._tokenise(questions)
        self._size = len(lengths)
        # One number per occurrence, term-major: sorting it groups postings by term.
        keys = occurrences * max(self._size, 1) + np.repeat(np.arange(self._size), lengths)
        postings, frequencies = np.unique(keys, return_counts=True)
        term_of, self._entries = np.divmod(postings, max(self._size, 1))
        self._starts = np.searchsorted(term_of, np.arange(len(self._terms) + 1))
        holders = np.diff(self._starts)
        idf = np.log1p((self._size - holders + 0.5) / (holders + 0.5))
        longness = lengths / max(float(lengths.mean()), 1.0) if self._size else lengths
        dampening = _K1 * (1 - _B + _B * longness[self._entries])
        self._weights = (idf[term_of] * frequencies / (frequencies + dampening)).astype(np.float32)

    def _tokenise(self, questions: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Term numbers of all questions one after another, and each question's length."""
        occurrences, lengths = array("q"), array("q")
        for question in questions:
            words = terms(question)
            occurrences.extend([self._terms.setdefault(w, len(self._terms)) for w in words])
            lengths.append(len(words))
        return np.array(occurrences, dtype=np.int64), np.array(lengths, dtype=np.int64)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every entry, shape (n,); 0 where no word is shared."""
        found = {self._terms[word] for word in terms(question) if word in self._terms}
        rarest = sorted(found, key=lambda term: (self._holders(term), term))[:TERM_LIMIT]
        scores = np.zeros(self._size, dtype=np.float32)
        for term in rarest:
            postings = slice(self._starts[term], self._starts[term + 1])
            np.add.at(scores, self._entries[postings], self._weights[postings])
        return scores

    def _holders(self, term: int) -> int:
        return int(self._starts[term + 1] - self._starts[term])
