"""`python -m training.fitting ORDER.json`: one fit, or one process of one.

Under `accelerate launch` every process runs this with the same file. Ends with code 2 for what
can be put right, as the command line does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services.common.errors import ConfigurationError, NesycdError
from training.fitting.fit import share_the_processor
from training.fitting.folder import FitFolder
from training.fitting.spec import FitOrder
from training.progress import Progress
from training.row_file import parse_row

_ARGUMENTS = 2


def main() -> int:
    """Reads the order and fits."""
    if len(sys.argv) != _ARGUMENTS:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    path = Path(sys.argv[1])
    is_main = os.environ.get("RANK", "0") == "0"
    folder = None
    try:
        order = _read(path)
        folder = FitFolder(order.out)
        if is_main:
            folder.claim(order)
        if folder.result() is None:
            share_the_processor()
            from training.fitting.process import fit_here  # noqa: PLC0415 - imports torch

            fit_here(order, Progress(quiet=not is_main))
    except NesycdError as error:
        # Whichever process fails first: the launcher ends the others.
        if folder is not None and folder.scratch.is_dir():
            folder.error.write_text(error.message, encoding="utf-8")
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


def _read(path: Path) -> FitOrder:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    return parse_row(text, FitOrder, str(path))


if __name__ == "__main__":
    sys.exit(main())
