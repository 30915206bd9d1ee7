"""Several processes for one fit, started by accelerate's launcher."""

from __future__ import annotations

import os
import subprocess
import sys

from services.common.errors import ConfigurationError
from training.fitting.folder import FitFolder
from training.fitting.spec import FitOrder, FitResult


def launch(order: FitOrder) -> FitResult:
    """Runs `python -m training.fitting` in `fit.processes` processes of this machine.

    On a machine without GPUs they speak through gloo. For more machines, start the launcher by
    hand on each, with the same file.

    Raises: ConfigurationError of the processes; or that they ended without one.
    """
    folder = FitFolder(order.out)
    processes = order.spec.fit.processes
    try:
        folder.order.write_text(order.model_dump_json(indent=2), encoding="utf-8")
        folder.error.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder.scratch} cannot be written: {error}") from error
    # The launcher calls it multi_gpu; without GPUs the processes find gloo by themselves, while
    # its --cpu starts a single one.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", str(processes), "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    command += ["--num_cpu_threads_per_process", str(threads)]
    command += ["-m", "training.fitting", str(folder.order)]
    ended = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    if folder.error.exists():
        raise ConfigurationError(folder.error.read_text(encoding="utf-8"))
    result = folder.result()
    if result is None:
        raise ConfigurationError(
            f"the {processes} processes of the fit ended with code {ended.returncode}; what they "
            f"said stands above. Run the same command again to go on from the last checkpoint"
        )
    return result
