"""Fits one adapter, in this process or in several. Imports no torch before it is called."""

from __future__ import annotations

import os
from pathlib import Path

from training.fitting.folder import FitFolder
from training.fitting.launch import launch
from training.fitting.lora import check_servable
from training.fitting.spec import FitOrder, FitResult, FitSpec
from training.progress import Progress


def share_the_processor() -> None:
    """Makes torch's threads sleep while they wait for each other; before torch is imported.

    Left to themselves they spin, and take the processor from the one they wait for as soon as
    anything else runs: three to five times fewer tokens per second on two busy cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def fit_adapter(examples: Path, spec: FitSpec, out: Path, progress: Progress) -> FitResult:
    """Fits an adapter, or goes on with a fit that was killed.

    The result is the same as if nothing had happened in between; a finished fit is not done
    again.

    Args:
        examples: JSON Lines of `Example`.
        spec: what to fit. With `fit.processes` above 1 accelerate's launcher starts so many.
        out: folder of this fit and no other. It gets `adapters/NAME/VERSION/`, `losses.jsonl`,
            and `.fit/` with the checkpoints until the fit is done.
        progress: shows the updates.

    Raises:
        ConfigurationError: the examples, the model or the adapter to start from cannot be used,
            the service could not serve the adapter, the folder holds another fit, the disk is
            full, or the loss is no number.
    """
    order = FitOrder(examples=examples.absolute(), spec=spec, out=out.absolute())
    folder = FitFolder(order.out)
    check_servable(spec.fit, spec.student, max_rank=spec.max_rank)
    folder.claim(order)
    if (done := folder.result()) is not None:
        return done
    if spec.fit.processes > 1:
        return launch(order)
    share_the_processor()
    from training.fitting.process import fit_here  # noqa: PLC0415 - seconds of imports

    return fit_here(order, progress)
