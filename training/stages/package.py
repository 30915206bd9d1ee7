"""Packs what the service is given: the adapter, the knowledge and the settings that fit them."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from kb_loader.dump import Dump, write_file, write_manifest
from services.common.errors import ConfigurationError
from services.common.settings import StudentSettings, load_settings
from services.student.adapters import WEIGHTS_FILE, BaseShape, read_adapter
from services.student.models import display_name, prepare_student
from training.config import Config
from training.evaluation.results import BBH_TRAINED
from training.evaluation.run_setup import answering_settings
from training.evaluation.sweep import Calibration
from training.manifest import Value
from training.stage import Estimate, Job
from training.stages.calibrate import read_calibration

ENVIRONMENT: Final = "nesycd.env"
ADAPTERS: Final = "adapters"
DUMP: Final = "dump"

_STUDENT = ("model", "dtype", "max_model_len", "max_lora_rank")
_KNOWLEDGE = ("embedder", "lexical_weight", "vector_weight", "max_related")
_REASONER = ("direct_max_new_tokens", "conclude")
_MEGABYTE = 1e6


class Package:
    """Copies S_E and the knowledge under their names, and writes the settings to serve them."""

    name = "package"
    needs = ("check-knowledge", "fit-se", "calibrate")

    def settings(self, config: Config) -> dict[str, object]:
        """The names, and what was calibrated with."""
        return {
            "name": config.name,
            **config.package.model_dump(mode="json"),
            "max_lora_rank": config.student.max_lora_rank,
            **answering_settings(config),
        }

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:  # noqa: ARG002 - as above
        """Some seconds."""
        return Estimate(note="copies files")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes adapters/NAME/VERSION/, dump/, nesycd.env and README.md.

        Raises: ConfigurationError when the service could not serve the adapter.
        """
        config, wanted = job.config, job.config.package
        adapter = job.folder / ADAPTERS / wanted.adapter / wanted.version
        _copy(job.inputs["fit-se"] / "adapters" / "se" / "v1", adapter)
        rank = _servable_rank(adapter, config.student)
        _copy(job.inputs["check-knowledge"] / DUMP, job.folder / DUMP)
        dump = write_manifest(job.folder / DUMP, wanted.release)
        calibration = read_calibration(job.inputs["calibrate"])
        settings = service_settings(config, calibration.threshold)
        write_file(job.folder / ENVIRONMENT, _environment(settings).encode())
        size = (adapter / WEIGHTS_FILE).stat().st_size
        text = _readme(config, calibration, dump, rank=rank, size=size)
        write_file(job.folder / "README.md", text.encode())
        return {
            "adapter": f"{wanted.adapter}@{wanted.version}",
            "adapter_bytes": size,
            "rank": rank,
            "release": wanted.release,
            "entries": dump.rows,
        }


STAGE = Package()


def service_settings(config: Config, threshold: float) -> dict[str, str]:
    """Environment variables under which the service answers as was evaluated."""
    wanted, reasoner = config.package, config.reasoner
    longest = config.evaluate.max_new_tokens
    student: dict[str, object] = {name: getattr(config.student, name) for name in _STUDENT}
    student |= {
        "adapters_dir": ADAPTERS,
        "default_adapter": f"{wanted.adapter}@{wanted.version}",
    }
    knowledge: dict[str, object] = {name: getattr(config.knowledge, name) for name in _KNOWLEDGE}
    pipeline: dict[str, object] = {name: getattr(reasoner, name) for name in _REASONER}
    pipeline |= {
        "gate_threshold": threshold,
        "default_max_new_tokens": longest,
        "max_new_tokens_limit": max(longest, reasoner.max_new_tokens_limit),
    }
    sections = {"student": student, "knowledge": knowledge, "reasoner": pipeline}
    return {
        f"NESYCD_{section}__{name}".upper(): str(value)
        for section, values in sections.items()
        for name, value in values.items()
        if value != ""
    }


def _environment(settings: dict[str, str]) -> str:
    head = "# Settings of `nesycd serve`, started in this folder. The paths are relative to it.\n"
    return head + "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def _servable_rank(adapter: Path, student: StudentSettings) -> int:
    """The adapter's rank. Raises: ConfigurationError when it could not be served."""
    rank, refusal = read_adapter(adapter, max_rank=student.max_lora_rank, base=_base_shape(student))
    if refusal:
        raise ConfigurationError(f"{adapter} could not be served: {refusal}")
    return rank


def _base_shape(student: StudentSettings) -> BaseShape | None:
    """What the adapter must fit; None for the student without a model."""
    if student.backend == "scripted":
        return None
    from training.fitting.model import read_base  # noqa: PLC0415 - torch

    settings = load_settings().model_copy(update={"student": student})
    return read_base(prepare_student(settings, lambda _: None)).shape


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    except (OSError, shutil.Error) as error:
        raise ConfigurationError(f"{source} cannot be copied to {target}: {error}") from error


def _readme(config: Config, calibration: Calibration, dump: Dump, *, rank: int, size: int) -> str:
    wanted = config.package
    counts = ", ".join(f"{kind.value}s: {count}" for kind, count in dump.counts.items())
    bbh = any(source.profile == "bbh" for source in config.data.train)
    return f"""# {wanted.adapter}@{wanted.version} and {wanted.release}

Made by `nesycd train`, run "{config.name}".

- `{ADAPTERS}/{wanted.adapter}/{wanted.version}/`: a LoRA adapter for \
{display_name(config.student.model)}, rank {rank}, {size / _MEGABYTE:.1f} MB; \
its card says what it was fitted on.
- `{DUMP}/`: the knowledge it was fitted to read, release {wanted.release}: {counts}.
- `{ENVIRONMENT}`: the settings it was evaluated with.

Gate threshold {calibration.threshold:.3f}: {calibration.note}.
{BBH_TRAINED if bbh else ""}

## Serve it

In this folder:

    set -a; . ./{ENVIRONMENT}; set +a
    nesycd kb load {DUMP}
    nesycd serve

Or beside other adapters: copy the folder under `{ADAPTERS}/` into yours, and set
`NESYCD_STUDENT__ADAPTERS_DIR` to that and
`NESYCD_STUDENT__DEFAULT_ADAPTER={wanted.adapter}@{wanted.version}`.
"""
