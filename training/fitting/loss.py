"""The loss: cross-entropy of the responses, and of nothing else.

What a row counts (w is the example's weight, n its response tokens, the end included):

- reduction `token`: each response token counts w, so a row counts w n. An answer of 3 tokens
  beside two rationales of 100 has 1.5 % of the loss.
- reduction `example`: each response token counts w / n, so a row counts w, however long it is.

An update's loss is the sum over its rows divided by a fixed number: the mean of what a row
counts, over all rows, times the rows of a full update. So over an epoch every row has exactly
the share above, whichever rows it meets in an update, and however an update is cut into passes
and spread over processes. (The mean over an update's own tokens would give the short rows of an
update of short rows as much as long ones; a mean per pass would be wrong by the number of passes,
which transformers' Trainer does not divide by when a loss is its own.)

Logits are computed for response tokens only: they are half of a small student's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module
from torch.nn.functional import cross_entropy

from training.fitting.losses import TASKS
from training.fitting.tokens import TokenRow

_MULTIPLE = 8
"""Padded lengths are multiples of it, which matrix kernels like."""

Batch = dict[str, torch.Tensor]
"""One pass over B rows of padded length L with N response tokens:

- input_ids, int64 (B, L): padded on the right. No mask goes with it: in a causal model no token
  sees what comes after it, and there is no loss on the padding.
- positions, int64 (N): places in the flat (B * L) whose logits say the response tokens.
- targets, int64 (N): the response tokens.
- counts, float32 (N): what each counts in the loss.
- tasks, int64 (N): number of the row's task in TASKS; -1 for a filler.
- read, int64 (B): tokens of each row; 0 for a filler.
"""


@dataclass(frozen=True, slots=True)
class Collate:
    """Makes a batch of rows.

    Attributes:
        loss_reduction: `token` or `example`.
        pad_id: any token.
    """

    loss_reduction: str
    pad_id: int

    def __call__(self, rows: Sequence[TokenRow]) -> Batch:
        """Pads and concatenates."""
        length = -(-max(len(row.ids) for row in rows) // _MULTIPLE) * _MULTIPLE
        ids = torch.full((len(rows), length), self.pad_id)
        positions, targets, counts, tasks = [], [], [], []
        for place, row in enumerate(rows):
            ids[place, : len(row.ids)] = torch.tensor(row.ids)
            size = row.response_tokens
            first = place * length + row.response_at - 1  # the token before says the first
            positions.append(torch.arange(first, first + size))
            targets.append(torch.tensor(row.ids[row.response_at :]))
            count = row.weight if self.loss_reduction == "token" else row.weight / size
            counts.append(torch.full((size,), count))
            tasks.append(torch.full((size,), TASKS.index(row.task) if row.weight else -1))
        return {
            "input_ids": ids,
            "positions": torch.cat(positions),
            "targets": torch.cat(targets),
            "counts": torch.cat(counts),
            "tasks": torch.cat(tasks),
            "read": torch.tensor([len(row.ids) if row.weight else 0 for row in rows]),
        }


def response_logits(
    model: Any, head: Module, input_ids: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Logits (N, vocabulary) at the positions alone.

    Args:
        model: a causal language model, wrapped for training or not.
        head: its output layer, given only the positions, whatever the model calls it with;
            what the model does with logits afterwards is done all the same.
        input_ids: (B, L).
        positions: (N), places in the flat (B * L).
    """

    def keep(_: Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (arguments[0].flatten(0, 1)[positions],)

    handle = head.register_forward_pre_hook(keep)
    try:
        logits: torch.Tensor = model(input_ids=input_ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits


def token_losses(model: Any, head: Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy in nats, float32 (N), of each response token."""
    logits = response_logits(model, head, batch["input_ids"], batch["positions"])
    return cross_entropy(logits.float(), batch["targets"], reduction="none")
