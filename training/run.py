"""A run folder: which stages are done, and doing those that are not."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.common import prompts
from services.common.errors import ConfigurationError
from training import manifest as manifests
from training.config import Config
from training.manifest import MANIFEST, StageManifest
from training.progress import Progress
from training.stage import Estimate, Job, Stage
from training.worker import RayCluster

_KEY_DIGITS = 12


class State(StrEnum):
    """Where a stage stands."""

    DONE = "done"
    BEGUN = "begun"
    READY = "ready"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Standing:
    """One stage of a run.

    Attributes:
        stage: which.
        state: done; begun and killed; ready to begin; or waiting for another.
        folder: where it is or will be; None while that is not known, since it depends on
            stages that are not done.
        manifest: of a finished one.
        waits_for: the stages it needs that are not done.
    """

    stage: Stage
    state: State
    folder: Path | None = None
    manifest: StageManifest | None = None
    waits_for: tuple[str, ...] = ()


class Run:
    """The stages of one configuration in one folder.

    Several configurations may share a folder: they share the stages that are the same.

    Args:
        config: checked.
        folder: of the run; made if it is not there.
        stages: in an order in which each comes after those it needs.
        progress: shows what goes on.
        cluster: the Ray cluster that rows are spread over; None for this process.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        *,
        stages: Sequence[Stage],
        progress: Progress,
        cluster: RayCluster | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.stages = {stage.name: stage for stage in stages}
        self._progress = progress
        self._cluster = cluster
        self._checksums: dict[Path, str] = {}

    def standings(self) -> Iterator[Standing]:
        """Each stage in order. Raises: ConfigurationError, a file or manifest cannot be read."""
        done: dict[str, Standing] = {}
        for name, stage in self.stages.items():
            missing = tuple(needed for needed in stage.needs if needed not in done)
            if missing:
                yield Standing(stage, State.WAITING, waits_for=missing)
                continue
            standing = self._standing(stage, done)
            if standing.state is State.DONE:
                done[name] = standing
            yield standing

    def estimates(self, last: str = "") -> Iterator[tuple[Standing, Estimate | None]]:
        """Each stage up to `last` with what it would still cost; None while it waits."""
        wanted = self._wanted(last)
        done: dict[str, Standing] = {}
        for standing in self.standings():
            if standing.stage.name not in wanted:
                continue
            if standing.state is State.DONE:
                done[standing.stage.name] = standing
                yield standing, Estimate(note="nothing to do")
            elif standing.state is State.WAITING:
                yield standing, None
            else:
                yield standing, standing.stage.estimate(self._job(standing, done))

    def run(self, last: str = "") -> dict[str, Standing]:
        """Brings every stage up to `last` to its end, those that are done left alone.

        Args:
            last: name of a stage; it and all it needs are run. Empty: all stages.

        Returns: the finished stages by name.
        Raises: NesycdError of the stage that failed; what it made until then is kept.
        """
        wanted = self._wanted(last)
        done: dict[str, Standing] = {}
        with self._locked():
            for name, stage in self.stages.items():
                if name not in wanted:
                    continue
                standing = self._standing(stage, done)
                if standing.manifest is None:
                    standing = self._finish(standing, done)
                else:
                    self._check(standing)
                    self._progress.say(f"{name}: done before")
                done[name] = standing
        return done

    def _wanted(self, last: str) -> set[str]:
        if not last:
            return set(self.stages)
        if last not in self.stages:
            raise ConfigurationError(
                f"stage: there is no {last!r}; there are {', '.join(self.stages)}"
            )
        wanted = {last}
        for name, stage in reversed(self.stages.items()):
            if name in wanted:
                wanted.update(stage.needs)
        return wanted

    def _standing(self, stage: Stage, done: dict[str, Standing]) -> Standing:
        key = manifests.key_of(
            stage.name, stage.settings(self.config), self._files(stage), _inputs(stage, done)
        )
        folder = self.folder / f"{stage.name}-{key[:_KEY_DIGITS]}"
        found = manifests.read_manifest(folder)
        state = State.DONE if found else State.BEGUN if folder.exists() else State.READY
        return Standing(stage, state, folder, found)

    def _files(self, stage: Stage) -> dict[str, str]:
        for path in stage.files(self.config):
            if path not in self._checksums:
                self._checksums[path] = manifests.file_checksum(path)
        return {str(path): self._checksums[path] for path in stage.files(self.config)}

    def _job(self, standing: Standing, done: dict[str, Standing]) -> Job:
        assert standing.folder is not None  # noqa: S101 - known where its inputs are done
        return Job(
            config=self.config,
            folder=standing.folder,
            inputs={name: _folder(done[name]) for name in standing.stage.needs},
            progress=self._progress,
            cluster=self._cluster,
        )

    def _finish(self, standing: Standing, done: dict[str, Standing]) -> Standing:
        stage, job = standing.stage, self._job(standing, done)
        going_on = " (going on)" if standing.state is State.BEGUN else ""
        self._progress.say(f"{stage.name}{going_on} ...")
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{job.folder} cannot be made: {error.strerror}") from error
        code = manifests.code_checksum()
        started = time.monotonic()
        counts = stage.run(job)
        seconds = round(time.monotonic() - started, 1)
        settings, files, inputs = (
            stage.settings(self.config),
            self._files(stage),
            _inputs(stage, done),
        )
        made = StageManifest(
            stage=stage.name,
            key=manifests.key_of(stage.name, settings, files, inputs),
            settings=settings,
            files=files,
            inputs=inputs,
            prompts=prompts.VERSION,
            outputs=manifests.outputs_of(job.folder),
            counts=counts,
            seconds=seconds,
            packages=manifests.packages(),
            code=code,
            machine=manifests.machine(),
        )
        manifests.write_manifest(job.folder, made)
        said = ", ".join(f"{name} {value}" for name, value in counts.items())
        self._progress.say(f"{stage.name}: done in {seconds} s ({said})")
        return Standing(stage, State.DONE, job.folder, made)

    def _check(self, standing: Standing) -> None:
        """Refuses outputs that are not what the stage made."""
        assert standing.manifest is not None  # noqa: S101 - it is done
        folder = _folder(standing)
        there = manifests.outputs_of(folder)
        for name, checksum in standing.manifest.outputs.items():
            if there.get(name) != checksum:
                how = "was changed" if name in there else "is missing"
                raise ConfigurationError(
                    f"{folder / name} {how} since stage {standing.stage.name} made it: put it "
                    f"back, or delete {folder / MANIFEST} to run the stage again"
                )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time works in a run folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("w")
        except OSError as error:
            raise ConfigurationError(f"{self.folder} cannot be made: {error.strerror}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"{self.folder}: another process works in this run folder"
                ) from None
            yield


def _inputs(stage: Stage, done: dict[str, Standing]) -> dict[str, str]:
    inputs = {}
    for name in stage.needs:
        found = done[name].manifest
        assert found is not None  # noqa: S101 - it is done
        inputs[name] = found.checksum
    return inputs


def _folder(standing: Standing) -> Path:
    assert standing.folder is not None  # noqa: S101 - it is done
    return standing.folder
