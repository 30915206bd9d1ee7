"""The real student and the sample knowledge behind public gRPC clients as they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import client
from tests.service import Service, running_service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

REASON = "nesycd.v1.ReasoningService/Reason"
QUESTION = {"question": "How many minutes are 3 hours?", "max_new_tokens": 16}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


def grpcurl(
    service: Service, clients: Path, call: str, message: object = None
) -> subprocess.CompletedProcess[str]:
    data = [] if message is None else ["-d", json.dumps(message)]
    return subprocess.run(
        [client("grpcurl", clients), "-plaintext", *data, service.address, call],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_real_student_answers_with_knowledge(service):
    done = service.cli("ask", "What is 25 percent of 80?", "--mode", "always", "--json")
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["model"] == "SmolLM2-135M-Instruct"
    assert reply["answer"]
    assert reply["rationale"]
    assert reply["knowledge"][0]["entry_id"].startswith("percentages-")
    assert reply["tokens"]["completion"] > 0
    assert {stage["stage"] for stage in reply["stages"]} >= {"retrieve", "reason", "total"}


def test_the_gate_measures_the_real_students_confidence(service):
    done = service.cli("ask", "What is the capital of France?", "--json")
    reply = json.loads(done.stdout)
    assert 0 < reply["confidence"] < 1
    stands = reply["confidence"] >= reply["gate"]["threshold"]
    assert (reply["gate"]["decision"] == "GATE_DECISION_DIRECT") == stands


def test_ask_streams_text_and_then_says_how_it_came_about(service):
    done = service.cli("ask", "What is 25 percent of 80?", "--mode", "always")
    assert done.returncode == 0, done.stderr
    assert "percentages-" in done.stdout
    assert "\nanswer " in done.stdout
    assert "\nserved by    SmolLM2-135M-Instruct, knowledge release " in done.stdout


def test_grpcurl_lists_the_services_through_reflection(service, clients):
    done = grpcurl(service, clients, "list")
    assert done.returncode == 0, done.stderr
    assert {"nesycd.v1.ReasoningService", "nesycd.v1.AdapterService"} < set(done.stdout.split())


def test_grpcurl_checks_health(service, clients):
    done = grpcurl(service, clients, "grpc.health.v1.Health/Check")
    assert json.loads(done.stdout) == {"status": "SERVING"}


def test_grpcurl_asks(service, clients):
    done = grpcurl(service, clients, REASON, QUESTION)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "SmolLM2-135M-Instruct"


def test_grpcurl_streams(service, clients):
    done = grpcurl(service, clients, f"{REASON}Stream", QUESTION)
    assert done.returncode == 0, done.stderr
    assert '"response": {' in done.stdout


def test_grpcurl_shows_the_field_violations(service, clients):
    done = grpcurl(service, clients, REASON, {"question": "", "top_k": 99})
    assert done.returncode != 0
    assert "InvalidArgument" in done.stderr
    assert '"field": "top_k"' in done.stderr
    assert '"description": "99 is not between 1 and 8"' in done.stderr


def test_ghz_loads_it_with_32_callers_without_an_error(service, clients):
    done = subprocess.run(
        [
            client("ghz", clients),
            "--insecure",
            *("--call", REASON, "-d", json.dumps(QUESTION)),
            *("-c", "32", "-n", "96", "--timeout", "300s", "-O", "json", service.address),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["count"] == 96
    assert report["statusCodeDistribution"] == {"OK": 96}, report["errorDistribution"]
