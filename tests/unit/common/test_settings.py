"""Settings: what the environment may say, and docs/settings.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from services.common.errors import ConfigurationError
from services.common.settings import Settings, load_settings
from tests.field_tables import DOCS, assert_documented, table

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("NESYCD_"):
            monkeypatch.delenv(name)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _tables() -> str:
    top = {
        f"NESYCD_{name.upper()}": field
        for name, field in Settings.model_fields.items()
        if not _is_section(field)
    }
    parts = [f"## General\n\nRead by every process.\n\n{table('variable', top)}"]
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            section = field.annotation
            assert section is not None
            assert section.__doc__
            rows = {
                f"NESYCD_{name.upper()}__{option.upper()}": value
                for option, value in section.model_fields.items()
            }
            parts.append(f"## {name}\n\n{section.__doc__}\n\n{table('variable', rows)}")
    return "\n".join(parts)


def test_the_documentation_lists_every_setting_as_it_is() -> None:
    assert_documented(DOCS / "settings.md", _tables())


def _variables() -> dict[str, FieldInfo]:
    found = {}
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            assert field.annotation is not None
            for inner, inner_field in field.annotation.model_fields.items():
                found[f"NESYCD_{name.upper()}__{inner.upper()}"] = inner_field
        else:
            found[f"NESYCD_{name.upper()}"] = field
    return found


@pytest.mark.parametrize("field", _variables().values(), ids=_variables())
def test_every_setting_says_what_it_means(field: FieldInfo) -> None:
    assert field.description
    assert field.description.endswith(".")
    assert "|" not in field.description


@pytest.mark.parametrize(
    ("variable", "default"),
    [(name, field.default) for name, field in _variables().items() if field.default is not None],
)
def test_every_default_may_be_written_out(
    variable: str, default: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(default))
    assert Settings().model_dump() == Settings.model_construct().model_dump()


@pytest.mark.parametrize(
    ("variable", "value", "location", "reason"),
    [
        # A wrong name, in the section or before it.
        ("NESYCD_STUDENT__MODLE", "x", ("student", "modle"), "Extra inputs are not permitted"),
        ("NESYCD_LOGLEVEL", "debug", ("loglevel",), "Extra inputs are not permitted"),
        ("nesycd_loglevel", "debug", ("loglevel",), "Extra inputs are not permitted"),
        ("NESYCD_STUDNT__MODEL", "x", ("studnt__model",), "Extra inputs are not permitted"),
        ("NESYCD_STUDENT_MODEL", "x", ("student_model",), "Extra inputs are not permitted"),
        ("NESYCD_GATEWAY_PORT", "50052", ("gateway_port",), "Extra inputs are not permitted"),
        ("NESYCD_LOG_LEVEL__X", "y", ("log_level__x",), "Extra inputs are not permitted"),
        ("NESYCD_", "x", ("",), "Extra inputs are not permitted"),
        # A wrong value.
        ("NESYCD_LOG_LEVEL", "loud", ("log_level",), "Input should be 'debug', 'info'"),
        ("NESYCD_STUDENT__BACKEND", "gpu", ("student", "backend"), "Input should be 'vllm', "),
        ("NESYCD_STUDENT__THREADS", "many", ("student", "threads"), "should be a valid integer"),
        ("NESYCD_STUDENT__THREADS", "-1", ("student", "threads"), "greater than or equal to 0"),
        ("NESYCD_GATEWAY__PORT", "65536", ("gateway", "port"), "less than or equal to 65535"),
        ("NESYCD_REASONER__GATE_THRESHOLD", "1.1", ("reasoner", "gate_threshold"), "equal to 1"),
        ("NESYCD_REASONER__CONCLUDE", "maybe", ("reasoner", "conclude"), "valid boolean"),
        ("NESYCD_STUDENT__MAX_LORA_RANK", "7", ("student", "max_lora_rank"), "Input should be 8"),
        # A section is no variable.
        ("NESYCD_STUDENT", "x", ("student",), "valid dictionary or instance"),
        ("NESYCD_STUDENT", '{"model": "x"}', ("student",), "valid dictionary or instance"),
    ],
)
def test_a_wrong_variable_is_refused_by_name_and_value(
    variable: str,
    value: str,
    location: tuple[str, ...],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as raised:
        Settings()
    [error] = raised.value.errors()
    assert error["loc"] == location
    assert str(error["input"]) == value
    assert reason in error["msg"]


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESYCD_LOG_LEVEL", "debug")
    monkeypatch.setenv("NESYCD_STUDENT__MAX_LORA_RANK", "64")
    monkeypatch.setenv("NESYCD_STUDENT__ADAPTERS_DIR", "/adapters")
    monkeypatch.setenv("NESYCD_REASONER__CONCLUDE", "false")
    settings = Settings()
    assert settings.log_level == "debug"
    assert settings.student.max_lora_rank == 64
    assert settings.student.adapters_dir == Path("/adapters")
    assert settings.reasoner.conclude is False


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NESYCD_ADDRESS", "gateway:50051"),
        ("NESYCD_TLS", "true"),
        ("NESYCD_TLS_CA", "ca.pem"),
        ("NESYCD_TEST_DATA", "data"),
        ("NESYCD_PORT", "tcp://10.0.0.1:50051"),
        ("NESYCD_SERVICE_HOST", "10.0.0.1"),
        ("NESYCD_GATEWAY_SERVICE_PORT", "50051"),
        ("NESYCD_GATEWAY_SERVICE_PORT_GRPC", "50051"),
        ("NESYCD_GATEWAY_PORT", "tcp://10.0.0.1:50051"),
        ("NESYCD_GATEWAY_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("NESYCD_GATEWAY_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("NESYCDISH", "x"),
    ],
)
def test_variables_of_others_are_left_alone(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert Settings().model_dump() == Settings.model_construct().model_dump()


@pytest.mark.parametrize("variable", _variables())
def test_an_empty_variable_counts_as_unset(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert Settings().model_dump() == Settings.model_construct().model_dump()


def test_the_cache_holds_the_knowledge_unless_a_path_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert Settings().cache == Path("/home/someone/.cache/nesycd")
    assert Settings().knowledge_path == Path("/home/someone/.cache/nesycd/knowledge.db")
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", "~/other.db")
    assert Settings().knowledge_path == Path("/home/someone/other.db")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NESYCD_LOGLEVEL", "debug"),
        ("NESYCD_STUDENT__MODLE", "x"),
        ("NESYCD_STUDENT__THREADS", "many"),
        ("NESYCD_STUDENT", "x"),
    ],
)
def test_serve_stops_at_a_wrong_variable_with_one_line(variable: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "serve"],
        env=os.environ | {variable: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"nesycd: {variable}='{value}': ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"NESYCD_REASONER__MAX_NEW_TOKENS_LIMIT": "200"},
            (
                "NESYCD_REASONER__DEFAULT_MAX_NEW_TOKENS=256 is above "
                "NESYCD_REASONER__MAX_NEW_TOKENS_LIMIT=200"
            ),
        ),
        (
            {"NESYCD_SERVE__STUDENT_REPLICAS": "3"},
            "NESYCD_SERVE__STUDENT_REPLICAS=3 is above NESYCD_SERVE__STUDENT_MAX_REPLICAS=1",
        ),
        (
            {"NESYCD_GATEWAY__TLS_CERTIFICATE": "a.pem"},
            "NESYCD_GATEWAY__TLS_CERTIFICATE=a.pem needs NESYCD_GATEWAY__TLS_KEY, which is unset",
        ),
        (
            {"NESYCD_GATEWAY__TLS_KEY": "a.key"},
            "NESYCD_GATEWAY__TLS_KEY=a.key needs NESYCD_GATEWAY__TLS_CERTIFICATE, which is unset",
        ),
        (
            {"NESYCD_GATEWAY__TLS_CLIENT_CA": "ca.pem"},
            (
                "NESYCD_GATEWAY__TLS_CLIENT_CA=ca.pem needs NESYCD_GATEWAY__TLS_CERTIFICATE, "
                "which is unset"
            ),
        ),
    ],
)
def test_serve_stops_at_settings_that_contradict_each_other(
    variables: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "serve"],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"nesycd: {said}\n")


def test_arguments_go_before_the_environment_and_leave_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NESYCD_STUDENT__DEFAULT_ADAPTER", "bbh@v1")
    monkeypatch.setenv("NESYCD_STUDENT__MODEL", "a/model")
    monkeypatch.setenv("NESYCD_SERVE__STUDENT_MAX_REPLICAS", "4")
    settings = load_settings(
        {"student": {"default_adapter": "bbh@v2"}, "serve": {"student_replicas": 2}}
    )
    assert settings.student.default_adapter == "bbh@v2"
    assert settings.student.model == "a/model"
    assert (settings.serve.student_replicas, settings.serve.student_max_replicas) == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"student": {"modle": "x"}},
            "argument student.modle='x': Extra inputs are not permitted",
        ),
        ({"studnt": {"model": "x"}}, "argument studnt={'model': 'x'}: Extra inputs are not permit"),
        (
            {"student": {"max_lora_rank": 7}},
            "argument student.max_lora_rank=7: Input should be 8, 16, 32, 64, 128 or 256",
        ),
        (
            {"serve": {"student_replicas": "many"}},
            "argument serve.student_replicas='many': Input should be a valid integer",
        ),
        ({"student": "x"}, "argument student='x': Input should be a valid dictionary"),
        (
            {"serve": {"student_replicas": 3}},
            "NESYCD_SERVE__STUDENT_REPLICAS=3 is above NESYCD_SERVE__STUDENT_MAX_REPLICAS=1",
        ),
    ],
)
def test_a_wrong_argument_is_refused_by_section_name_and_value(
    arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(arguments)
    assert raised.value.message.startswith(said)


def test_a_wrong_variable_is_named_as_one_beside_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NESYCD_STUDENT__THREADS", "many")
    with pytest.raises(ConfigurationError, match=r"^NESYCD_STUDENT__THREADS='many': "):
        load_settings({"student": {"model": "a/model"}})
