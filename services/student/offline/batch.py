"""Sequences that a transformers model continues together, one token each per step.

Greedy decoding only. Rows stand right aligned: the batch is as wide as its longest row, and
shorter ones are padded on the left. Rows may have been read at different times; `merged`
puts batches side by side and leaves rows out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.student.offline.cache import gathered_cache, growing_cache


@dataclass(frozen=True, slots=True)
class Written:
    """One token per row, and p(best) - p(second best) at its place; 0 where not asked for."""

    token_ids: list[int]
    gaps: list[float]


class DecodingBatch:
    """Rows with the token that comes next and the cache of all before it.

    For use under `torch.inference_mode`.

    Attributes:
        model: the transformers model.
        cache: keys and values of all tokens but the last.
        lengths: tokens of each row in the cache.
        mask: (rows, columns), 1 for a token in the cache, 0 for padding.
        last: (rows, 1), the tokens written and not in the cache yet.
    """

    def __init__(
        self, model: Any, cache: Any, lengths: list[int], *, mask: Tensor, last: Tensor
    ) -> None:
        self.model = model
        self.cache = cache
        self.mask = mask
        self.last = last
        self._positions = torch.tensor(lengths, device=mask.device).unsqueeze(1)
        self.lengths = lengths

    @classmethod
    def read(
        cls, model: Any, rows: Sequence[Sequence[int]], *, with_gaps: bool
    ) -> tuple[DecodingBatch, Written]:
        """Reads rows of tokens, each of at least one, and writes their first tokens."""
        lengths = [len(row) for row in rows]
        columns = max(lengths)
        padded = [[0] * (columns - len(row)) + list(row) for row in rows]
        ids = torch.tensor(padded, device=model.device)
        places = torch.arange(columns - 1, -1, -1, device=model.device)
        mask = (places < torch.tensor(lengths, device=model.device).unsqueeze(1)).long()
        cache = growing_cache()
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        last, written = _chosen(logits, with_gaps=with_gaps)
        return cls(model, cache, lengths, mask=mask, last=last), written

    def step(self, *, with_gaps: bool) -> Written:
        """Writes one more token per row. An error leaves the batch as it was."""
        columns = self.mask.shape[1]
        mask = torch.cat([self.mask, self.mask.new_ones((len(self.lengths), 1))], dim=1)
        try:
            logits = self.model(
                input_ids=self.last,
                attention_mask=mask,
                position_ids=self._positions,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            last, written = _chosen(logits, with_gaps=with_gaps)
        except BaseException:
            for layer in self.cache.layers:
                layer.cut(columns)
            raise
        self.mask, self.last = mask, last
        self._positions = self._positions + 1
        self.lengths = [length + 1 for length in self.lengths]
        return written

    @classmethod
    def merged(cls, parts: Sequence[tuple[DecodingBatch, Sequence[int]]]) -> DecodingBatch:
        """A new batch of the named rows of others, in that order; at least one row in each."""
        lengths = [batch.lengths[row] for batch, rows in parts for row in rows]
        columns = max(lengths)
        picked: list[tuple[DecodingBatch, Tensor | None]] = [
            (
                batch,
                None
                if len(rows) == len(batch.lengths)
                else torch.tensor(rows, device=batch.mask.device),
            )
            for batch, rows in parts
        ]
        first = parts[0][0]
        mask = first.mask.new_zeros((len(lengths), columns))
        end = 0
        for batch, rows in picked:
            of_part = (batch.mask if rows is None else batch.mask[rows])[:, -columns:]
            start, end = end, end + len(of_part)
            mask[start:end, columns - of_part.shape[1] :] = of_part
        last = [batch.last if rows is None else batch.last[rows] for batch, rows in picked]
        cache = gathered_cache([(batch.cache, rows) for batch, rows in picked], columns)
        return cls(first.model, cache, lengths, mask=mask, last=torch.cat(last))

    @property
    def layers(self) -> list[Any]:
        """The layers of the cache, as the model made them."""
        return list(self.cache.layers)

    @property
    def cache_bytes(self) -> int:
        """Memory of keys and values, without spare columns."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)


def _chosen(logits: Tensor, *, with_gaps: bool) -> tuple[Tensor, Written]:
    """The best token of each row, (rows, 1) and as numbers. `logits` is (rows, vocabulary)."""
    scores = logits.float()
    best = scores.argmax(dim=-1)
    if with_gaps:
        top = (scores.topk(2).values - scores.logsumexp(dim=-1, keepdim=True)).exp()
        gaps = (top[:, 0] - top[:, 1]).clamp(0, 1).tolist()
    else:
        gaps = [0.0] * len(scores)
    return best.unsqueeze(1), Written(best.tolist(), gaps)
