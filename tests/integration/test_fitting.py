"""Fits in processes of their own, killed and in parallel; and the adapter where it is served."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from services.common.settings import StudentSettings
from services.student.protocol import FinishReason, Sampling
from tests.contract.student_suite import collect, text_of
from tests.tiny_models import HIDDEN_SIZE, build_model
from tests.unit.training.fitting.fits import Fits, example, mixed
from training.fitting.spec import FitOrder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    # vLLM's own imports warn; none of it comes from this code.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:vllm"),
]

ROWS = mixed(60)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_model(tmp_path_factory.mktemp("models") / "tiny")
    _give_an_end(folder / "model.safetensors")
    return folder


def _give_an_end(weights: Path) -> None:
    """The tiny model never ends a text by itself; here it is to learn when to."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors["lm_head.weight"][1] = 0.3 * torch.randn(
        HIDDEN_SIZE, generator=torch.Generator().manual_seed(0)
    )
    save_file(tensors, weights, metadata={"format": "pt"})


@pytest.fixture
def fits(student: Path, tmp_path: Path) -> Fits:
    return Fits(student, tmp_path)


def begin(fits: Fits, out: str, **changes: Any) -> subprocess.Popen[bytes]:
    order = FitOrder(examples=fits.examples(ROWS), spec=fits.spec(**changes), out=fits.folder / out)
    path = fits.folder / f"{out}.json"
    path.write_text(order.model_dump_json())
    command = [sys.executable, "-m", "training.fitting", str(path)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)


def test_a_fit_killed_by_a_signal_goes_on_to_the_same_result(fits: Fits) -> None:
    import torch

    changes = {"epochs": 12, "save_steps": 5, "dropout": 0.1}
    assert begin(fits, "whole", **changes).wait() == 0
    checkpoints = fits.folder / "killed" / ".fit" / "checkpoints"
    for step in (10, 40):
        process = begin(fits, "killed", **changes)
        wait_for(checkpoints / f"checkpoint-{step}", process)  # it may not be whole yet
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert begin(fits, "killed", **changes).wait() == 0
    whole, again = fits.weights("whole"), fits.weights("killed")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    losses = [
        [row.model_dump(exclude={"tokens_per_s"}) for row in fits.losses(out)]
        for out in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def test_two_processes_fit_what_one_does(fits: Fits) -> None:
    import torch

    changes = {"epochs": 2, "micro_batch_size": 2}
    alone = fits.run(ROWS[:45], "alone", **changes)  # the last update is a short one
    shared = fits.run(ROWS[:45], "shared", processes=2, **changes)
    assert shared.steps == alone.steps
    for one, other in zip(fits.losses("alone"), fits.losses("shared"), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
        assert one.tasks == pytest.approx(other.tasks, rel=1e-3)
    first, second = fits.weights("alone"), fits.weights("shared")
    for name, weights in first.items():
        torch.testing.assert_close(weights, second[name], rtol=0.02, atol=1e-3)


def test_what_is_wrong_in_one_of_two_processes_is_said(fits: Fits) -> None:
    with pytest.raises(ConfigurationError, match="DC/1 cannot be fitted on: its completion is"):
        fits.run([example("1", "a", " ")], processes=2, micro_batch_size=2)


@pytest.mark.parametrize(
    "engine", ["offline.student.TransformersStudent", "vllm_engine.VllmStudent"]
)
async def test_a_fitted_adapter_is_served_and_stops_where_it_should(
    fits: Fits, engine: str
) -> None:
    rows = [
        example("1", "Capital of France?", " Paris."),
        example("2", "Capital of Peru?", " Lima, so the answer is Lima."),
    ]
    fits.run(rows, "out", epochs=60, batch_size=2, micro_batch_size=2)
    module, name = engine.rsplit(".", 1)
    opened = getattr(import_module(f"services.student.{module}"), name)(
        StudentSettings(
            dtype="float32",
            kv_cache_bytes=1 << 26,
            adapters_dir=fits.folder / "out" / "adapters",
            default_adapter="sp@v1",
            max_lora_rank=8,
        ),
        model=str(fits.student),
        name="tiny",
    )
    try:
        for row in rows:
            deltas = await collect(opened, row.prompt, Sampling(max_new_tokens=60))
            assert text_of(deltas) == row.completion
            assert deltas[-1].finish_reason is FinishReason.STOP
            assert deltas[-1].adapter == "sp@v1"
    finally:
        opened.shutdown()
