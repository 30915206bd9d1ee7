"""A tiny random student, and fits of it that take a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_models import build_model
from tests.unit.training.fitting.fits import Fits


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a two-layer Llama; for so small a one, threads only wait for each other."""
    import gc
    from importlib import import_module

    import torch

    import_module("training.fitting.process")
    torch.set_num_threads(1)
    gc.freeze()  # the Trainer collects garbage, and would look at all that these imports made
    yield build_model(tmp_path_factory.mktemp("student") / "tiny")
    gc.unfreeze()


@pytest.fixture
def fits(student: Path, tmp_path: Path) -> Fits:
    return Fits(student, tmp_path)
