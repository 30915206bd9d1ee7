"""The house as docs/ and the package docstrings promise it: imports run one way.

torch, vllm, ray and transformers are imported only by the modules that own them, so the
command line and the gateway start without them.
"""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.stages import STAGES

ROOT = Path(__file__).parents[2]
OURS = ("services", "kb_loader", "training")

TRAINING_ROWS = {"training.config", "training.row_file", "training.rows"}
MAY_IMPORT = {
    "services.common": {"services.common", "services.genproto"},
    "services.student": {"services.common", "services.student"},
    "services.knowledge": {"services.common", "services.genproto", "services.knowledge"},
    "services.reasoner": {
        "services.common",
        "services.genproto",
        "services.reasoner",
        "services.student.protocol",
        "services.knowledge.protocol",
    },
    "services.gateway": {"services.common", "services.genproto", "services.gateway"},
    "services.remote": {
        "services.common",
        "services.student.protocol",
        "services.knowledge.protocol",
    },
    "services.replica_metrics": {"services.common", "services.knowledge.protocol"},
    "services.app": {
        "services.common",
        "services.genproto",
        "services.student",
        "services.knowledge",
        "services.reasoner",
        "services.remote",
        "services.replica_metrics",
    },
    "services.cluster": {"services.common", "services.app"},
    "services.cli": {
        "services.common",
        "services.genproto",
        "services.cli",
        "services.cluster",
        "services.gateway",
        "services.knowledge",
        "services.student",
    },
    "kb_loader": {"services.common", "services.knowledge", "kb_loader"},
    # What a stage does with one row knows nothing of stages and runs.
    "training.data": {
        "services.common",
        "services.knowledge.content",
        "training.data",
        *TRAINING_ROWS,
    },
    "training.teachers": {
        "services.common",
        "services.student",
        "training.data",
        "training.repetition",
        "training.teachers",
        *TRAINING_ROWS,
    },
    "training.distilling": {
        "services.common",
        "services.knowledge",
        "kb_loader",
        "training.data",
        "training.distilling",
        "training.repetition",
        "training.teachers.protocol",
        *TRAINING_ROWS,
    },
    "training.fitting": {
        "services.common",
        "services.student",
        "training.fitting",
        "training.manifest",
        "training.progress",
        *TRAINING_ROWS,
    },
    "training.evaluation": {
        "services.common",
        "services.knowledge",
        "services.student",
        "kb_loader",
        "training.answering",
        "training.data",
        "training.evaluation",
        "training.inference",
        "training.knowledge_bases",
        "training.manifest",
        "training.progress",
        "training.stage",
        "training.worker",
        *TRAINING_ROWS,
    },
    "training": {
        "services.common",
        "services.knowledge",
        "services.reasoner.pipeline",
        "services.student",
        "kb_loader",
        "training",
    },
}

OFFLINE_STUDENT = {
    f"services.student.offline.{name}" for name in ("batch", "cache", "student", "worker")
}
FITTING = {
    f"training.fitting.{name}" for name in ("adapter_files", "loss", "model", "process", "trainer")
}
OWNERS = {
    "torch": {
        "services.student.packaged_models",
        "services.student.cpu_lora_kernels",
        *OFFLINE_STUDENT,
        *FITTING,
    },
    "transformers": {
        "services.student.packaged_models",
        "services.student.vllm_engine",
        *OFFLINE_STUDENT,
        *FITTING,
        "training.fitting.tokens",
        "training.teachers.local",
    },
    "peft": {"services.student.offline.lora_switch", *FITTING},
    "vllm": {"services.student.vllm_engine", "services.student.cpu_lora_kernels"},
    "ray": {
        "services.app",
        "services.remote",
        "services.replica_metrics",
        "services.cluster",
        "training.ray_inference",
    },
    "openai": {"training.teachers.endpoint"},
    "datasets": {"training.data.hub"},
    "matplotlib": {"training.evaluation.plots"},
    "lm_eval": {"training.evaluation.harness"},
    "opentelemetry": {"services.common.tracing"},
}
IMPORTED_WHEN_CALLED = {
    "services.student.packaged_models",
    "services.cluster",
    "training.data.hub",
    "training.evaluation.harness",
    "training.ray_inference",
    "training.teachers.local",
}
BARRED_FROM_COMMON = {"torch", "ray", "vllm", "transformers", "grpc", "neo4j"}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement: who, what, and whether a call is needed to run it."""

    importer: str
    imported: str
    line: int
    when_called: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def _imports() -> list[Import]:
    found = []
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not module.startswith("services.genproto"):
                found += list(_imports_of(module, path))
    return found


def _imports_of(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text("utf-8"))
    in_functions = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(module, name, node.lineno, node in in_functions)


IMPORTS = _imports()


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_every_module_belongs_to_a_layer() -> None:
    homeless = {
        one.importer
        for one in IMPORTS
        if not any(_inside(one.importer, layer) for layer in MAY_IMPORT)
    }
    assert homeless <= {"services.__init__"}


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if _inside(one.importer, layer)
        and any(_inside(one.imported, package) for package in OURS)
        and not any(_inside(one.imported, allowed) for allowed in MAY_IMPORT[layer])
    ]
    assert wrong == []


def test_nothing_under_services_imports_training_or_kb_loader() -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if _inside(one.importer, "services")
        and (_inside(one.imported, "training") or _inside(one.imported, "kb_loader"))
    ]
    assert wrong == []


def test_the_common_layer_knows_no_framework() -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if _inside(one.importer, "services.common")
        and (one.imported.partition(".")[0] in BARRED_FROM_COMMON or "_pb2_grpc" in one.imported)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", OWNERS)
def test_a_heavy_library_is_imported_only_by_its_owners(library: str) -> None:
    importers = {one.importer for one in IMPORTS if _inside(one.imported, library)}
    assert importers <= OWNERS[library]


def test_owners_that_light_processes_import_import_heavy_libraries_only_when_called() -> None:
    wrong = [
        str(one)
        for one in IMPORTS
        if one.importer in IMPORTED_WHEN_CALLED
        and one.imported.partition(".")[0] in OWNERS
        and not one.when_called
    ]
    assert wrong == []


def test_light_processes_import_no_heavy_library() -> None:
    modules = ["services.cli.main", "services.cli.client", "services.cli.serve"]
    modules += ["services.gateway.server", "training.cli", "training.eval_cli"]
    modules += ["training.commands", *(f"training.stages.{entry.module}" for entry in STAGES)]
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
    print(module, *(set({list(OWNERS)}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == modules


@pytest.mark.parametrize(
    ("command", "limit_s"), [("--help", 0.5), ("train --help", 0.8), ("eval --help", 0.8)]
)
def test_help_costs_little_processor_time(command: str, limit_s: float, tmp_path: Path) -> None:
    # With compiled modules, as on any machine after the first call.
    compiled = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    spent_s = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "services.cli.main", *command.split()],
            cwd=ROOT,
            env=compiled,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(spent_s) < limit_s
