"""Attempts of earlier evaluations in the same run folder, taken over where nothing differs.

So adding a system asks that system alone, and an ablation of the fitting asks neither the bare
model nor S_P again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.common import prompts
from training.evaluation.run_setup import ATTEMPTS
from training.evaluation.systems import SYSTEMS, Role, Variant
from training.manifest import read_manifest
from training.row_file import RowFile, read_rows
from training.rows import Attempt
from training.stage import Job

_FITS: Mapping[Role, str] = {Role.S_P: "fit-sp", Role.S_E: "fit-se"}


def stages_behind(system: str) -> set[str]:
    """The stages whose outputs a system's answers depend on."""
    named = SYSTEMS[system]
    stages = {"data"}
    if named.role in _FITS:
        stages.add(_FITS[named.role])
    if named.variant not in {Variant.NONE, Variant.GOLD}:
        stages.add("check-knowledge")
    if named.is_calibrated:
        stages.add("calibrate")
    return stages


def take_over(job: Job, systems: Sequence[str], answering: Mapping[str, object]) -> int:
    """Adds what finished evaluations beside the job's folder have answered. Returns how many.

    Args:
        job: of an evaluation.
        systems: that are wanted.
        answering: settings that answers depend on, under this name in each manifest.

    Raises: ConfigurationError: a manifest or attempt cannot be read, or nothing be written.
    """
    inputs = {name: read_manifest(folder) for name, folder in job.inputs.items()}
    mine = {name: made.checksum for name, made in inputs.items() if made is not None}
    count = 0
    with RowFile(job.folder / ATTEMPTS, Attempt) as rows:
        for folder in sorted(job.folder.parent.glob("evaluate-*")):
            made = read_manifest(folder) if folder != job.folder else None
            if (
                made is None
                or made.prompts != prompts.VERSION
                or made.settings.get("answering") != answering
            ):
                continue
            same = {name for name, checksum in made.inputs.items() if mine.get(name) == checksum}
            wanted = {name for name in systems if stages_behind(name) <= same}
            for row in read_rows(folder / ATTEMPTS, Attempt):
                is_new = row.key not in rows.present and not row.error
                if is_new and row.key.partition("/")[0] in wanted:
                    rows.append(row)
                    count += 1
    return count
