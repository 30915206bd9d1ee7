from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.common.errors import ConfigurationError
from training.config import FitConfig
from training.fitting import checkpoints
from training.fitting.card import card
from training.fitting.folder import FitFolder
from training.fitting.losses import Loss, drop_after, mean_loss, mean_task_losses
from training.fitting.spec import FitOrder, FitResult, FitSpec
from training.row_file import read_rows, write_rows

RESULT = FitResult(
    adapter="adapters/sp/v1",
    examples={"AP": 2, "DC": 3},
    max_tokens=4096,
    too_long=4,
    weightless=1,
    tokens=1000,
    response_tokens=300,
    parameters=64,
    steps=7,
    learning_rate=2e-4,
    precision="bfloat16",
    first_loss=2.5,
    last_loss=0.5,
    last_task_losses={"AP": 0.25, "DC": 0.75},
)


def spec(**changes: Any) -> FitSpec:
    values = {
        "student": "/models/tiny",
        "base_name": "tiny",
        "name": "sp",
        "version": "v1",
        "fit": FitConfig(epochs=2),
    }
    return FitSpec.model_validate(values | changes)


def order(folder: Path, text: str = "rows", **changes: Any) -> FitOrder:
    (folder / "examples").write_text(text)
    return FitOrder(examples=folder / "examples", spec=spec(**changes), out=folder / "out")


def loss(step: int, **tasks: float) -> Loss:
    return Loss(
        key=str(step),
        step=step,
        epoch=step / 10,
        learning_rate=1e-3,
        loss=float(step),
        tasks=tasks,
        gradient_norm=1,
        tokens_per_s=5,
    )


@pytest.mark.parametrize(
    ("text", "changes"),
    [("other rows", {}), ("rows", {"seed": 1}), ("rows", {"fit": FitConfig(epochs=3)})],
)
def test_a_folder_of_another_fit_is_refused(
    tmp_path: Path, text: str, changes: dict[str, Any]
) -> None:
    folder = FitFolder(tmp_path / "out")
    folder.claim(order(tmp_path))
    folder.checkpoints.mkdir()
    with pytest.raises(ConfigurationError, match="holds a fit of other examples or settings"):
        folder.claim(order(tmp_path, text, **changes))


def test_a_folder_in_which_nothing_was_begun_may_be_claimed_again(tmp_path: Path) -> None:
    folder = FitFolder(tmp_path / "out")
    folder.claim(order(tmp_path))
    folder.claim(order(tmp_path, seed=1))
    folder.checkpoints.mkdir()
    folder.claim(order(tmp_path, seed=1))


def test_how_the_work_is_done_may_change_before_a_fit_goes_on(tmp_path: Path) -> None:
    folder = FitFolder(tmp_path / "out")
    folder.claim(order(tmp_path))
    folder.checkpoints.mkdir()
    fit = FitConfig(epochs=2, processes=2, save_steps=1)
    folder.claim(order(tmp_path, fit=fit, student="/moved/tiny"))


def test_a_result_is_read_as_it_was_written_and_ends_the_checkpoints(tmp_path: Path) -> None:
    folder = FitFolder(tmp_path)
    folder.checkpoints.mkdir(parents=True)
    assert folder.result() is None
    folder.finish(RESULT)
    assert folder.result() == RESULT
    assert not folder.checkpoints.exists()


@pytest.mark.parametrize("name", ["/models/tiny", "./tiny", "~/tiny", "..", ""])
def test_the_base_model_is_never_named_by_a_path(name: str) -> None:
    with pytest.raises(ValidationError, match="base_name"):
        spec(base_name=name)


def test_the_newest_whole_checkpoint_counts_and_torn_ones_go(tmp_path: Path) -> None:
    for step in (50, 100, 150):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert checkpoints.last_whole(tmp_path) is None
    for step in (50, 100):
        checkpoints.mark_whole(tmp_path, step)
    last = checkpoints.last_whole(tmp_path)
    assert last is not None
    assert checkpoints.step_of(last) == 100
    checkpoints.drop_torn(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-100", "checkpoint-50"]


def test_losses_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    drop_after(path, 2)
    assert not path.exists()
    write_rows(path, [loss(1), loss(2), loss(3)])
    drop_after(path, 2)
    assert [row.step for row in read_rows(path, Loss)] == [1, 2]


def test_means_over_updates() -> None:
    rows = [loss(1, AP=2.0), loss(3, AP=4.0, DC=1.0)]
    assert mean_loss(rows) == 2
    assert mean_task_losses(rows) == {"AP": 3, "DC": 1}


def test_the_card_says_what_was_fitted_on_what_and_how() -> None:
    text = card(spec(about="Train questions of bbh."), RESULT, examples_sha256="abc")
    for said in (
        "base_model: tiny\n",
        "# sp v1\n",
        "AP 2, DC 3",
        "4 longer than 4096\ntokens",
        "Train questions of bbh.",
        "| learning rate | 0.0002, cosine after 10% warm-up |",
        "AP 0.2500, DC 0.7500",
        "bfloat16",
        "## Licence",
        "abc",
    ):
        assert said in text
    assert "/models" not in text
