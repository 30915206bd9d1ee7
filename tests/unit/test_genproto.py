"""The generated code is that of proto/, and every field there says what it means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "proto" / "nesycd" / "v1").glob("*.proto"))
COMMITTED = ROOT / "services" / "genproto"


def _protoc(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Relative path to content, as `make proto` would write it."""
    out = tmp_path_factory.mktemp("genproto")
    _protoc(
        "-Iservices/genproto=proto",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        *map(str, (path.relative_to(ROOT) for path in PROTOS)),
    )
    return _files(out / "services" / "genproto")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*_pb2*"))
        if path.suffix in {".py", ".pyi"}
    }


def test_every_proto_file_has_its_three_modules(generated: dict[str, bytes]) -> None:
    assert sorted(generated) == sorted(
        f"nesycd/v1/{path.stem}{suffix}"
        for path in PROTOS
        for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
    )


def test_the_committed_code_is_what_the_protos_give(generated: dict[str, bytes]) -> None:
    committed = _files(COMMITTED)
    assert sorted(committed) == sorted(generated)
    stale = [path for path in generated if committed[path] != generated[path]]
    assert stale == [], "run `make proto`"


def test_only_proto_files_lie_in_proto() -> None:
    # proto/__init__.py would shadow proto-plus, which google-api-core imports as `proto`.
    assert [str(path) for path in (ROOT / "proto").rglob("*.py")] == []


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    out = tmp_path_factory.mktemp("descriptors") / "set.pb"
    _protoc(
        "-Iproto",
        f"--descriptor_set_out={out}",
        "--include_source_info",
        *map(str, (path.relative_to(ROOT / "proto") for path in PROTOS)),
    )
    return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _commented(file: descriptor_pb2.FileDescriptorProto) -> set[tuple[int, ...]]:
    return {
        tuple(location.path)
        for location in file.source_code_info.location
        if (location.leading_comments or location.trailing_comments).strip()
    }


def test_every_field_service_method_and_value_is_explained(
    described: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    silent = []
    for file in described:
        commented = _commented(file)
        for m, message in enumerate(file.message_type):
            silent += [
                f"{message.name}.{field.name}"
                for f, field in enumerate(message.field)
                if (4, m, 2, f) not in commented
            ]
        for s, service in enumerate(file.service):
            silent += [service.name] if (6, s) not in commented else []
            silent += [
                f"{service.name}.{method.name}"
                for r, method in enumerate(service.method)
                if (6, s, 2, r) not in commented
            ]
        for e, enum in enumerate(file.enum_type):
            silent += [
                f"{enum.name}.{value.name}"
                for v, value in enumerate(enum.value)
                if v > 0 and (5, e, 2, v) not in commented
            ]
    assert silent == []
