"""The stages, in order. What each reads and leaves in its folder stands in docs/training.md.

The table is light, so that the command line can list it; `load_stages` imports them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.stage import Stage


@dataclass(frozen=True, slots=True)
class StageEntry:
    """Where a stage is found.

    Attributes:
        name: as on the command line.
        summary: what it does, in one line.
        module: in this package.
        instance: in that module.
    """

    name: str
    summary: str
    module: str
    instance: str = "STAGE"


STAGES = (
    StageEntry("data", "Read the questions and split off those to calibrate on.", "data"),
    StageEntry("teach", "Ask the teacher for a rationale of every train question.", "teach"),
    StageEntry("filter", "Keep the rationales whose answer is the right one.", "filter"),
    StageEntry("fit-sp", "Fit S_P, the first adapter, on the kept rationales.", "fit", "FIT_SP"),
    StageEntry("mine", "Let S_P answer the train questions, and collect its errors.", "mine"),
    StageEntry("distil-knowledge", "Ask the teacher what each error teaches.", "distil_knowledge"),
    StageEntry(
        "check-knowledge", "Refuse leaks, merge duplicates, write a dump.", "check_knowledge"
    ),
    StageEntry("mix", "Make the examples with knowledge, with answers alone, without.", "mix"),
    StageEntry("fit-se", "Fit S_E on the mix, from the weights of S_P.", "fit", "FIT_SE"),
    StageEntry("calibrate", "Find the gate's threshold on the questions split off.", "calibrate"),
    StageEntry("evaluate", "Ask every system the test questions, and report.", "evaluate"),
    StageEntry("package", "Put adapter, dump and settings together for the service.", "package"),
)


def load_stages() -> tuple[Stage, ...]:
    """The stages themselves, in order."""
    return tuple(
        getattr(import_module(f"{__name__}.{entry.module}"), entry.instance) for entry in STAGES
    )
