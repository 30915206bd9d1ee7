"""An embedder without a model, for tests and for trying things out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from services.knowledge.protocol import Vector
from services.knowledge.terms import terms


class HashEmbedder:
    """Feature hashing (Weinberger et al., ICML 2009): texts that share words are near.

    The same on every machine and in every process.

    Args:
        dimension: of the vectors, at least 2.
        seed: embedders of different seeds count as different models.
    """

    def __init__(self, dimension: int = 64, *, seed: int = 0) -> None:
        self.dimension = dimension
        self.model_id = f"hash-{dimension}-{seed}"
        self.checksum = hashlib.sha256(self.model_id.encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Vector:
        """Embeds texts; see `Embedder`."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in terms(text):
                digest = hashlib.sha256(f"{self.model_id} {word}".encode()).digest()
                place = int.from_bytes(digest[:4], "big") % (self.dimension - 1)
                vectors[row, place] += 1 if digest[4] % 2 else -1
            if not vectors[row].any():
                # A text without words still needs a direction: one that no word has.
                vectors[row, -1] = 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vector = vectors / lengths
        return unit
