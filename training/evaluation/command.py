"""What `nesycd eval` does: an evaluation without a run, in a folder that is gone on with."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from kb_loader.dump import read_dump, write_file
from services.common import logs, prompts
from services.common.errors import (
    AdapterNotFoundError,
    AdapterRefusedError,
    ConfigurationError,
)
from services.common.settings import Settings, load_settings
from services.student.adapters import WEIGHTS_FILE, AdapterCatalog
from services.student.models import display_name
from training.config import Source
from training.data.parts import read_source
from training.evaluation import harness
from training.evaluation.asking import Setup, ask, named_systems
from training.evaluation.results import Results, benchmarks
from training.evaluation.run_setup import ATTEMPTS, engine_settings
from training.evaluation.systems import SYSTEMS, Role, Variant, refusal
from training.evaluation.writing import write_results
from training.manifest import checksum_of, file_checksum
from training.progress import Progress
from training.worker import RayCluster

MADE_WITH: Final = "made-with.json"


@dataclass(frozen=True, slots=True)
class Asking:
    """The options of `nesycd eval`; see training/eval_cli.py."""

    profile: str = ""
    data: Path | None = None
    hub: str = ""
    subset: str = ""
    split: str = ""
    revision: str = ""
    max_examples: int | None = None
    seed: int = 0
    systems: tuple[str, ...] = ("base",)
    adapters_dir: Path | None = None
    adapter: str = ""
    dump: Path | None = None
    threshold: float | None = None
    max_new_tokens: int = 512
    in_flight: int = 64
    out: Path | None = None
    ray: str = ""
    ray_workers: int | None = None


def show_systems(*, as_json: bool) -> None:
    """Prints the table of systems."""
    if as_json:
        sys.stdout.write(json.dumps({name: one.about for name, one in SYSTEMS.items()}) + "\n")
        return
    table = Table("system", "what it is", box=None)
    for name, one in SYSTEMS.items():
        table.add_row(name, one.about)
    Console().print(table)


def evaluate(asking: Asking, *, as_json: bool) -> None:
    """Evaluates, writes attempts.jsonl, results.json, report.md and plots, and prints a table.

    Raises: ConfigurationError naming the option that is wrong, and what `ask` raises.
    """
    if asking.out is None:
        raise ConfigurationError("--out: name a folder for the attempts and the report")
    if refused := refusal(asking.systems):
        raise ConfigurationError(f"--system: {refused}")
    settings = load_settings()
    logs.configure(settings)  # on standard error: what is printed may be for programs
    setup = _setup(asking, asking.out, settings)
    source = _source(asking)
    questions = read_source(source, seed=asking.seed)
    _go_on(asking.out, _made_with(asking, source, setup))
    answered = ask(
        named_systems(asking.systems, setup),
        questions,
        setup,
        asking.out / ATTEMPTS,
        in_flight=asking.in_flight,
        progress=Progress(),
        cluster=RayCluster(asking.ray, asking.ray_workers or 0) if asking.ray else None,
    )
    student = settings.student
    results = Results(
        student=f"{display_name(student.model)} ({student.backend})",
        max_new_tokens=asking.max_new_tokens,
        threshold=setup.threshold,
        calibration="as given or set, not calibrated here",
        no_harness=harness.why_absent(),
        benchmarks=benchmarks(answered, trained_on=None),
    )
    write_results(results, asking.out)
    if as_json:
        sys.stdout.write(results.model_dump_json() + "\n")
        return
    _show(results)
    sys.stdout.write(f"written to {asking.out}\n")


def _source(asking: Asking) -> Source:
    try:
        return Source.model_validate(
            {
                "profile": asking.profile,
                "path": asking.data,
                "hub": asking.hub,
                "subset": asking.subset,
                "split": asking.split,
                "revision": asking.revision,
                "max_examples": asking.max_examples,
            }
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        option = str(wrong["loc"][0]) if wrong["loc"] else "data, --hub"
        given = "" if isinstance(wrong["input"], dict) else f", got {wrong['input']!r}"
        raise ConfigurationError(
            f"--{option.replace('path', 'data').replace('_', '-')}: "
            f"{wrong['msg'].removeprefix('Value error, ')}{given}"
        ) from error


def _setup(asking: Asking, out: Path, settings: Settings) -> Setup:
    """The setup; every adapter and dump that is named is there, and fits together."""
    roles = {SYSTEMS[name].role for name in asking.systems} - {Role.BARE}
    folder = asking.adapters_dir or settings.student.adapters_dir
    # Whole paths: processes of Ray start elsewhere.
    folder = folder.expanduser().resolve() if folder else None
    if asking.adapter and len(roles) != 1:
        needed = ", ".join(sorted(roles)) or "none"
        raise ConfigurationError(
            f"--adapter: {asking.adapter!r} cannot stand for all adapters that the systems need "
            f"({needed}); leave it out, or evaluate them in turn"
        )
    threshold = settings.reasoner.gate_threshold if asking.threshold is None else asking.threshold
    if not 0 <= threshold <= 1:
        raise ConfigurationError(f"--threshold: {threshold} is not between 0 and 1")
    catalog = AdapterCatalog(folder, max_rank=settings.student.max_lora_rank, base=None)
    catalog.scan()
    try:
        found = {role: catalog.find(asking.adapter or role.value) for role in roles}
    except (AdapterNotFoundError, AdapterRefusedError) as error:
        raise ConfigurationError(f"--adapters-dir: {error.message}") from error
    return Setup(
        student=settings.student.model_copy(update={"adapters_dir": folder}),
        reasoner=settings.reasoner,
        knowledge=settings.knowledge,
        scratch=out.resolve() / ".scratch",
        max_new_tokens=asking.max_new_tokens,
        threshold=threshold,
        dump=asking.dump.resolve() if asking.dump else None,
        adapters={role: adapter.ref for role, adapter in found.items()},
    )


def _made_with(asking: Asking, source: Source, setup: Setup) -> dict[str, str]:
    """What the answers in a folder depend on, by name; systems and questions may be added."""
    made = {
        "prompts": prompts.VERSION,
        "settings": checksum_of(engine_settings(setup.student, setup.reasoner, setup.knowledge)),
        "max_new_tokens": str(asking.max_new_tokens),
        "data": file_checksum(source.path)
        if source.path
        else f"{source.hub} {source.subset} {source.split}".strip(),
    }
    for role, ref in setup.adapters.items():
        name, _, version = ref.partition("@")
        assert setup.student.adapters_dir is not None  # noqa: S101 - the adapter was found there
        folder = setup.student.adapters_dir / name / version
        made[f"adapter for {role.value}"] = file_checksum(folder / WEIGHTS_FILE)
    needs_dump = {SYSTEMS[name].variant for name in asking.systems} - {Variant.NONE, Variant.GOLD}
    if needs_dump and setup.dump is not None:
        made["dump"] = read_dump(setup.dump).checksum
    if any(SYSTEMS[name].is_calibrated for name in asking.systems):
        made["threshold"] = str(setup.threshold)
    return made


def _go_on(out: Path, made: dict[str, str]) -> None:
    """Refuses a folder whose answers were made with something else; notes what they are made with.

    Raises: ConfigurationError.
    """
    path = out / MADE_WITH
    before: dict[str, str] = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = TypeAdapter(dict[str, str]).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"--out: {out} cannot be used: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path} is damaged; name a new folder in --out") from error
    for name, value in made.items():
        if before.get(name, value) != value:
            raise ConfigurationError(
                f"--out: the answers in {out} were made with another {name} "
                f"({before[name][:12]}, now {value[:12]}); name a new folder"
            )
    write_file(path, json.dumps(before | made, indent=2).encode())


def _show(results: Results) -> None:
    for benchmark in results.benchmarks:
        if benchmark.remark:
            sys.stdout.write(f"{benchmark.remark}\n")
        table = Table(
            "system",
            "n",
            "accuracy %",
            "95 % interval",
            "macro %",
            "unparsed",
            "degenerate",
            "tokens",
            title=benchmark.dataset,
        )
        for name, one in benchmark.systems.items():
            micro = one.micro
            table.add_row(
                name,
                str(micro.n),
                f"{100 * micro.accuracy:.1f}",
                f"{100 * micro.low:.1f} to {100 * micro.high:.1f}",
                f"{100 * one.macro.accuracy:.1f}",
                str(one.unparsed),
                str(sum(one.degenerate.values())),
                f"{one.completion_tokens:.0f}",
            )
        Console().print(table)
