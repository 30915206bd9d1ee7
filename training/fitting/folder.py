"""The folder of one fit: whose it is, how far it is, and what came out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import ConfigurationError
from training.fitting.spec import FitOrder, FitResult
from training.manifest import checksum_of, file_checksum
from training.row_file import parse_row


@dataclass(frozen=True, slots=True)
class FitFolder:
    """Paths within it. What starts with a point is no output."""

    path: Path

    @property
    def scratch(self) -> Path:
        """For what is no output."""
        return self.path / ".fit"

    @property
    def checkpoints(self) -> Path:
        """Until the fit is done."""
        return self.scratch / "checkpoints"

    @property
    def order(self) -> Path:
        """What the processes of a launched fit read."""
        return self.scratch / "order.json"

    @property
    def error(self) -> Path:
        """Why the processes of a launched fit gave up."""
        return self.scratch / "error.txt"

    @property
    def losses(self) -> Path:
        """One row per update."""
        return self.path / "losses.jsonl"

    def claim(self, order: FitOrder) -> None:
        """Makes the folder this order's.

        Raises: ConfigurationError when another fit was begun in it, or it cannot be written.
        """
        # How it is done, and where things lie, may change before a killed fit goes on.
        spec = order.spec.model_dump(mode="json", exclude={"student", "start_adapter", "fit"})
        fit = order.spec.fit.model_dump(mode="json", exclude={"processes", "save_steps"})
        claim = checksum_of([spec, fit, file_checksum(order.examples)])
        path = self.scratch / "claim.txt"
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            is_begun = self._result.exists() or self.checkpoints.exists()
            if not (is_begun and path.exists()):
                path.write_text(claim)
            claimed = path.read_text()
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}") from error
        if claimed != claim:
            raise ConfigurationError(
                f"{self.path} holds a fit of other examples or settings: name another folder, or "
                f"delete this one"
            )

    def result(self) -> FitResult | None:
        """Of a finished fit."""
        path = self._result
        if not path.exists():
            return None
        return parse_row(path.read_bytes(), FitResult, str(path))

    def finish(self, result: FitResult) -> None:
        """The fit is done, and needs its checkpoints no more. Raises: OSError."""
        part = self._result.with_suffix(".part")
        part.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(self._result)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    @property
    def _result(self) -> Path:
        return self.scratch / "result.json"
