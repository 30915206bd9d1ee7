from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.fitting.fits import example, mixed
from training.fitting.tokens import Tokenized, TokenRow, load_tokenizer, tokenize
from training.rows import Example


@pytest.fixture(scope="module")
def model(student: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(student).eval()


def tokenized(student: Path, examples: list[Example]) -> Tokenized:
    tokenizer, end_id = load_tokenizer(str(student))
    return tokenize(examples, tokenizer, end_id=end_id, max_tokens=4096)


def weighted_loss(model: Any, rows: list[TokenRow], reduction: str = "token") -> Any:
    from training.fitting.loss import Collate, token_losses

    batch = Collate(reduction, pad_id=1)(rows)
    return (token_losses(model, model.lm_head, batch) * batch["counts"]).sum()


def gradient(model: Any, loss: Any) -> Any:
    import torch

    (found,) = torch.autograd.grad(loss, [model.model.layers[0].self_attn.q_proj.weight])
    return found


def test_it_is_the_models_own_loss_with_the_prompt_masked(model: Any, student: Path) -> None:
    import torch

    (row,) = tokenized(student, [example("1", "ask me", " so so")]).rows
    labels = torch.tensor([row.ids])
    labels[:, : row.response_at] = -100
    own = model(input_ids=torch.tensor([row.ids]), labels=labels).loss * row.response_tokens
    ours = weighted_loss(model, [row])
    torch.testing.assert_close(ours, own)
    torch.testing.assert_close(gradient(model, ours), gradient(model, own))


def test_padding_adds_nothing(model: Any, student: Path) -> None:
    import torch

    rows = tokenized(student, mixed(6)).rows
    together = weighted_loss(model, rows)
    alone = sum(weighted_loss(model, [row]) for row in rows)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(
        gradient(model, together), gradient(model, alone), rtol=1e-3, atol=1e-4
    )


def test_a_filler_adds_nothing(model: Any, student: Path) -> None:
    import torch

    rows = tokenized(student, mixed(2)).rows
    torch.testing.assert_close(
        weighted_loss(model, [rows[0], rows[1].as_filler()]), weighted_loss(model, rows[:1])
    )


def test_logits_are_made_for_response_tokens_only(model: Any, student: Path) -> None:
    from training.fitting.loss import Collate, response_logits

    rows = tokenized(student, mixed(5)).rows
    batch = Collate("token", pad_id=1)(rows)
    logits = response_logits(model, model.lm_head, batch["input_ids"], batch["positions"])
    assert logits.shape[0] == sum(row.response_tokens for row in rows)
    assert not model.lm_head._forward_pre_hooks


def test_padded_lengths_are_multiples_of_8(student: Path) -> None:
    from training.fitting.loss import Collate

    rows = tokenized(student, mixed(5)).rows
    length = Collate("token", pad_id=1)(rows)["input_ids"].shape[1]
    assert length % 8 == 0
    assert 0 <= length - max(len(row.ids) for row in rows) < 8


@pytest.mark.parametrize(
    ("reduction", "share"),
    # The answer has 3 tokens with the end, the rationale 30: 3 / 33 and 1 / 2.
    [("token", 3 / 33), ("example", 1 / 2)],
)
def test_a_short_answer_counts_what_the_reduction_says(
    student: Path, reduction: str, share: float
) -> None:
    from training.fitting.loss import Collate
    from training.fitting.losses import TASKS

    rows = [example("1", "ask", " 7", task="AP"), example("2", "ask", "x" * 29)]
    data = tokenized(student, rows)
    batch = Collate(reduction, pad_id=1)(data.rows)
    counted = batch["counts"][batch["tasks"] == TASKS.index("AP")].sum()
    assert float(counted / batch["counts"].sum()) == pytest.approx(share)
    assert float(batch["counts"].sum()) == pytest.approx(2 * data.weight_per_row(reduction))


@pytest.mark.parametrize("reduction", ["token", "example"])
def test_weights_multiply_what_a_row_counts(student: Path, reduction: str) -> None:
    from training.fitting.loss import Collate

    once = tokenized(student, [example("1", "ask", " so")]).rows
    thrice = tokenized(student, [example("1", "ask", " so", weight=3)]).rows
    counts = [Collate(reduction, pad_id=1)(rows)["counts"].sum() for rows in (once, thrice)]
    assert float(counts[1]) == pytest.approx(3 * float(counts[0]))
