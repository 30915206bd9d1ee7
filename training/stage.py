"""What a stage is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.config import Config
from training.manifest import Value
from training.progress import Progress
from training.worker import RayCluster


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage would still cost; zeros where it costs nothing to speak of.

    Attributes:
        rows: to be made.
        prompt_tokens: read by a model.
        completion_tokens: written by a model, or fitted on.
        seconds: of this machine.
        usd: of an endpoint.
        note: what the estimate assumes, or what it waits for.
    """

    rows: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a stage.

    Attributes:
        config: of the whole run; a stage reads what its `settings` name.
        folder: the stage's own. What starts with a point is scratch, and no output.
        inputs: folders of the finished stages it needs, by name.
        progress: says how far it is.
        cluster: the Ray cluster that rows are spread over; None for this process.
    """

    config: Config
    folder: Path
    inputs: Mapping[str, Path]
    progress: Progress
    cluster: RayCluster | None = None


class Stage(Protocol):
    """One step from teacher to report.

    A stage that was killed is run again in the same folder, and goes on from what it finds.
    """

    @property
    def name(self) -> str:
        """In kebab-case, as on the command line."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages whose outputs it reads."""
        ...

    def settings(self, config: Config) -> dict[str, object]:
        """Everything of the configuration that its result depends on, as JSON has it."""
        ...

    def files(self, config: Config) -> tuple[Path, ...]:
        """Outside files that it reads, each in a place of its own: the order is part of the key."""
        ...

    def estimate(self, job: Job) -> Estimate:
        """What is left to do, reckoned without doing it."""
        ...

    def run(self, job: Job) -> dict[str, Value]:
        """Does it. Returns counts for the manifest. Raises: NesycdError."""
        ...
