"""The key-value cache of a batch whose sequences come and go.

Shapes: keys and values are (rows, heads, columns, width of a head). Sequences stand right
aligned, so each step writes one column for all of them, and padding stands on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

_SPARE_COLUMNS = 64


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """One layer's keys and values, with spare columns on the right.

    `DynamicLayer` copies everything at every step; this one, every 64 steps.
    """

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self._room: tuple[Tensor, Tensor] | None = None  # keys and values with spare columns

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes new columns and returns all there are."""
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        if self._room is None:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self._room = (key_states, value_states)
        else:
            if end > self._room[0].shape[2]:
                self._room = (_widened(self._room[0], end), _widened(self._room[1], end))
            self._room[0][:, :, start:end] = key_states
            self._room[1][:, :, start:end] = value_states
        self._show(end)
        return self.keys, self.values

    def cut(self, columns: int) -> None:
        """Takes back what a step that failed half-way has written."""
        if self.get_seq_length() > columns:
            self._show(columns)

    @classmethod
    def gathered(
        cls, parts: Sequence[tuple[GrowingLayer, Tensor | None]], columns: int
    ) -> GrowingLayer:
        """A new layer of the named rows (None: all) of others, padded or cut to `columns`."""
        layer = cls()
        first = parts[0][0]
        layer.dtype, layer.device, layer.is_initialized = first.dtype, first.device, True
        layer._room = (
            _side_by_side([(part.keys, rows) for part, rows in parts], columns),
            _side_by_side([(part.values, rows) for part, rows in parts], columns),
        )
        layer._show(columns)
        return layer

    def _show(self, columns: int) -> None:
        assert self._room is not None  # noqa: S101  # there are columns, so they lie somewhere
        self.keys = self._room[0][:, :, :columns]
        self.values = self._room[1][:, :, :columns]


def growing_cache() -> Cache:
    """An empty cache; the model's first pass adds its layers."""
    return Cache(layer_class_to_replicate=GrowingLayer)


def gathered_cache(parts: Sequence[tuple[Cache, Tensor | None]], columns: int) -> Cache:
    """A new cache of the named rows (None: all) of others, padded or cut to `columns`."""
    layers = zip(*(cache.layers for cache, _ in parts), strict=True)
    rows = [rows for _, rows in parts]
    return Cache(
        layers=[
            GrowingLayer.gathered(list(zip(layer, rows, strict=True)), columns) for layer in layers
        ]
    )


def _widened(tensor: Tensor, columns: int) -> Tensor:
    rows, heads, old, width = tensor.shape
    new = tensor.new_empty((rows, heads, columns + _SPARE_COLUMNS, width))
    new[:, :, :old] = tensor
    return new


def _side_by_side(parts: Sequence[tuple[Tensor, Tensor | None]], columns: int) -> Tensor:
    counts = [len(tensor) if rows is None else len(rows) for tensor, rows in parts]
    _, heads, _, width = parts[0][0].shape
    # Padding is never attended to, but zero times a number left in memory must be zero.
    new = parts[0][0].new_zeros((sum(counts), heads, columns + _SPARE_COLUMNS, width))
    places = torch.tensor(counts).cumsum(0).tolist()
    for (tensor, rows), count, end in zip(parts, counts, places, strict=True):
        kept = tensor[:, :, max(0, tensor.shape[2] - columns) :]
        target = new[end - count : end, :, columns - kept.shape[2] : columns]
        target.copy_(kept if rows is None else kept[rows])
    return new
