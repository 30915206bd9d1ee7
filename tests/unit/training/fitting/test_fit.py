"""Whole fits of a tiny random student, in this process."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from services.student.adapters import BaseShape, read_adapter, read_weight_shapes
from tests.tiny_models import HIDDEN_SIZE, LAYERS
from tests.unit.training.fitting.fits import Fits, example, mixed
from training.progress import Advance, Progress

ROWS = mixed(20)


class Killed(BaseException):
    """Ends a fit as a signal would: nothing catches it."""


class KillsAt(Progress):
    """Ends the fit after so many updates."""

    def __init__(self, updates: int) -> None:
        super().__init__(quiet=True)
        self._left = updates

    @contextmanager
    def bar(self, *_: Any, **__: Any) -> Iterator[Advance]:
        def advance(count: int = 1, /) -> None:
            self._left -= count
            if not self._left:
                raise Killed

        yield advance


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    import torch

    assert one.keys() == other.keys()
    for name, weights in one.items():
        assert torch.equal(weights, other[name]), name


def assert_close(one: dict[str, Any], other: dict[str, Any]) -> None:
    import torch

    assert one.keys() == other.keys()
    for name, weights in one.items():
        torch.testing.assert_close(weights, other[name], rtol=0.02, atol=1e-4)


def test_the_adapter_is_one_that_the_service_takes(fits: Fits) -> None:
    result = fits.run(ROWS, target_modules=("q_proj", "down_proj"))
    folder = fits.adapter()
    assert result.adapter == "adapters/sp/v1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())  # for any user
    shape = BaseShape(HIDDEN_SIZE, LAYERS, read_weight_shapes(fits.student))
    assert read_adapter(folder, max_rank=8, base=shape) == (8, "")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert str(fits.student.parent) not in (folder / "adapter_config.json").read_text()
    assert {str(weights.dtype) for weights in fits.weights().values()} == {"torch.bfloat16"}
    assert not (fits.folder / "out" / ".fit" / "checkpoints").exists()


def test_every_update_is_a_row_of_losses_by_task(fits: Fits) -> None:
    result = fits.run(ROWS, epochs=2, learning_rate=1e-3)
    losses = fits.losses()
    assert [row.step for row in losses] == [1, 2, 3, 4, 5, 6]
    assert losses[-1].epoch == 2
    assert {task for row in losses for task in row.tasks} == {"AD", "AP", "DC"}
    assert losses[0].learning_rate == pytest.approx(1e-3)
    assert losses[-1].learning_rate < 1e-3
    assert result.steps == 6
    assert result.last_loss < result.first_loss
    assert result.examples == {"AD": 7, "AP": 7, "DC": 6}


@pytest.mark.parametrize(("reduction", "sizes"), [("token", (4, 2)), ("example", (1,))])
def test_how_an_update_is_cut_into_passes_changes_nothing(
    fits: Fits, reduction: str, sizes: tuple[int, ...]
) -> None:
    for size in (8, *sizes):
        fits.run(ROWS, f"{size}", micro_batch_size=size, loss_reduction=reduction)
    whole = fits.losses("8")
    for size in map(str, sizes):
        assert_close(fits.weights("8"), fits.weights(size))
        for one, other in zip(whole, fits.losses(size), strict=True):
            # AdamW hides the length of a gradient: a factor of 2 would show here alone.
            assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
            assert one.loss == pytest.approx(other.loss, rel=1e-3)
            assert one.tasks == pytest.approx(other.tasks, rel=1e-3)


def test_a_gradient_is_that_of_the_mean_over_all_tokens(fits: Fits) -> None:
    import torch

    from training.fitting.model import build_model, read_base
    from training.fitting.tokens import load_tokenizer, tokenize

    rows = mixed(8)
    fits.run(rows, micro_batch_size=2)
    (first,) = fits.losses()
    spec = fits.spec()
    model = build_model(spec, read_base(spec.student))
    tokenizer, end_id = load_tokenizer(spec.student)
    data = tokenize(rows, tokenizer, end_id=end_id, max_tokens=256)
    summed = torch.zeros(())
    for row in data.rows:
        ids = torch.tensor([row.ids])
        labels = ids.clone()
        labels[:, : row.response_at] = -100
        summed = summed + model(input_ids=ids, labels=labels).loss * row.response_tokens
    mean = summed / sum(row.response_tokens for row in data.rows)
    fitted = [one for one in model.parameters() if one.requires_grad]
    norm = torch.stack([one.norm() for one in torch.autograd.grad(mean, fitted)]).norm()
    assert first.loss == pytest.approx(mean.item(), rel=1e-4)
    assert first.gradient_norm == pytest.approx(norm.item(), rel=1e-4)


def test_a_row_counts_the_same_in_an_update_of_few_rows(fits: Fits) -> None:
    same = [example(str(number), "ask", " so") for number in range(9)]
    fits.run(same[:8], "full")
    fits.run(same, "one_more")
    (full,) = fits.losses("full")
    norms = [row.gradient_norm for row in fits.losses("one_more")]
    # Of nine rows, one is alone in its update: an eighth of the gradient. The second update's
    # is not compared, since the first has changed the weights.
    assert norms[0] == pytest.approx(full.gradient_norm, rel=1e-3) or norms[0] == pytest.approx(
        full.gradient_norm / 8, rel=1e-3
    )


def test_a_killed_fit_goes_on_to_the_same_result(fits: Fits) -> None:
    changes = {"epochs": 3, "save_steps": 2, "dropout": 0.1, "micro_batch_size": 4}
    whole = fits.run(ROWS, "whole", **changes)
    for updates in (3, 4):  # after updates 3 and 6, so in the middle of an epoch and at its end
        with pytest.raises(Killed):
            fits.run(ROWS, "killed", progress=KillsAt(updates), **changes)
    again = fits.run(ROWS, "killed", **changes)
    assert again == whole
    assert_same(fits.weights("killed"), fits.weights("whole"))
    losses = [
        [row.model_dump(exclude={"tokens_per_s"}) for row in fits.losses(out)]
        for out in ("killed", "whole")
    ]
    assert losses[0] == losses[1]


def test_a_fit_killed_after_its_last_update_makes_no_other(
    fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.fitting import process

    whole = fits.run(ROWS, "whole", epochs=2.4)
    with monkeypatch.context() as patch:
        patch.setattr(process, "_publish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            fits.run(ROWS, "killed", epochs=2.4)
    assert fits.run(ROWS, "killed", epochs=2.4) == whole
    assert_same(fits.weights("killed"), fits.weights("whole"))


def test_a_finished_fit_is_not_done_again(fits: Fits) -> None:
    first = fits.run(ROWS)
    made_at = (fits.adapter() / "adapter_model.safetensors").stat().st_mtime_ns
    assert fits.run(ROWS) == first
    assert (fits.adapter() / "adapter_model.safetensors").stat().st_mtime_ns == made_at


def test_a_fit_starts_from_another_adapter(fits: Fits) -> None:
    fits.run(ROWS, "first")
    start = fits.adapter("first")
    fits.run(ROWS, "second", name="se", start=start, learning_rate=1e-12)
    assert_same(fits.weights("second", "se"), fits.weights("first"))


def test_an_adapter_of_other_layers_to_start_from_is_refused(fits: Fits) -> None:
    fits.run(ROWS, "first", target_modules=("q_proj", "v_proj"))
    for number, changes in enumerate(({"target_modules": ("q_proj",)}, {"last_layers": 1}, {})):
        with pytest.raises(ConfigurationError, match="has other layers than are to be fitted"):
            fits.run(ROWS, f"second{number}", start=fits.adapter("first"), **changes)
    with pytest.raises(ConfigurationError, match=r"cannot be taken: No such file"):
        fits.run(ROWS, "third", start=fits.folder / "nowhere")


def test_only_the_last_layers_are_fitted(fits: Fits) -> None:
    fits.run(ROWS, last_layers=1)
    assert {name.split(".layers.")[1][0] for name in fits.weights()} == {"1"}


def test_the_number_format_may_be_bfloat16(fits: Fits) -> None:
    result = fits.run(ROWS, precision="bfloat16", learning_rate=1e-3, epochs=3)
    assert result.precision == "bfloat16"
    assert result.last_loss < result.first_loss


@pytest.mark.parametrize(
    ("rows", "refusal"),
    [
        ([], "nothing is left to fit on: of 0 examples 0 are longer than 256 tokens"),
        ([example("1", "a", " b", weight=0)], "nothing is left to fit on: .* 1 have weight 0"),
        ([example("1", "a" * 300, " b")], "nothing is left to fit on: of 1 examples 1 are longer"),
        ([example("1", "a", " ")], "DC/1 cannot be fitted on: its completion is empty"),
        (
            [example("1", "a", " b").model_copy(update={"error": "no teacher"})],
            "DC/1 cannot be fitted on: no teacher",
        ),
    ],
)
def test_examples_that_cannot_be_fitted_on_are_refused(
    fits: Fits, rows: list[Any], refusal: str
) -> None:
    with pytest.raises(ConfigurationError, match=refusal):
        fits.run(rows)


def test_a_malformed_row_is_named_by_file_line_and_field(fits: Fits) -> None:
    path = fits.examples(ROWS[:2])
    path.write_text(path.read_text() + '{"key": "DC/9", "task": "CD"}\n')
    from training.fitting.fit import fit_adapter

    with pytest.raises(ConfigurationError, match=r"examples.jsonl:3: task: .*got 'CD'"):
        fit_adapter(path, fits.spec(), fits.folder / "out", Progress(quiet=True))


def test_a_missing_student_or_file_is_refused(fits: Fits) -> None:
    from training.fitting.fit import fit_adapter

    progress = Progress(quiet=True)
    with pytest.raises(ConfigurationError, match=r"nowhere.jsonl cannot be read"):
        fit_adapter(fits.folder / "nowhere.jsonl", fits.spec(), fits.folder / "out", progress)
    empty = fits.folder / "empty"
    empty.mkdir()
    spec = fits.spec().model_copy(update={"student": str(empty)})
    with pytest.raises(ConfigurationError, match=r"student.model: .*empty does not load"):
        fit_adapter(fits.examples(ROWS), spec, fits.folder / "out", progress)


def test_a_loss_that_is_no_number_ends_the_fit(fits: Fits) -> None:
    with pytest.raises(ConfigurationError, match=r"at update \d: try a lower learning_rate"):
        fits.run(ROWS, learning_rate=1e20, epochs=3)


def test_a_full_disk_keeps_what_there_was(fits: Fits) -> None:
    changes = {"epochs": 2, "save_steps": 2}
    whole = fits.run(ROWS, "whole", **changes)
    with pytest.raises(Killed):
        fits.run(ROWS, "full", progress=KillsAt(3), **changes)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, most))  # below a checkpoint's weights
        with pytest.raises(ConfigurationError, match="cannot be written"):
            fits.run(ROWS, "full", **changes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert fits.run(ROWS, "full", **changes) == whole


def test_learning_rates_go_by_the_size_of_the_student() -> None:
    from torch import nn

    from training.config import FitConfig
    from training.fitting.model import learning_rate

    class Sized(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            import torch

            weight = torch.empty(size, device="meta")
            self.weight = nn.Parameter(weight, requires_grad=False)

    sizes = (135_000_000, 1_100_000_000, 1_540_000_000, 7_600_000_000, 8_030_000_000)
    rates = [learning_rate(FitConfig(epochs=1), Sized(size)) for size in sizes]
    assert rates == [2e-4, 2e-4, 1e-4, 1e-4, 5e-5]
    assert learning_rate(FitConfig(epochs=1, learning_rate=3e-3), Sized(8)) == 3e-3
