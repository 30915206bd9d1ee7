"""The whole service, started as a user starts it, on a tiny random model: what tests of single
parts cannot show. One service for all tests; those that hurt it come last."""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from services.genproto.nesycd.v1 import knowledge_pb2, knowledge_pb2_grpc
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.ray_session import ray_metrics
from tests.service import SAMPLE, Service, running_service
from tests.tiny_models import build_model, write_adapter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
QUEUE = 4
LONG = 1024


@pytest.fixture(scope="module")
def adapters_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    write_adapter(folder, "maths@v1", seed=1)
    write_adapter(folder, "refused@v1", use_dora=True)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, adapters_dir: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    model = build_model(folder / "tiny", context=4096)
    with running_service(
        folder,
        student__model=model,
        student__dtype="float32",
        student__kv_cache_bytes=1 << 27,
        student__adapters_dir=adapters_dir,
        student__max_queued=QUEUE,
        student__max_lora_rank=16,
    ) as service:
        yield service


@pytest.fixture
def channel(service: Service) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(service.address) as channel:
        yield channel


@pytest.fixture
def reasoning(channel: grpc.Channel) -> pb_grpc.ReasoningServiceStub:
    return pb_grpc.ReasoningServiceStub(channel)


def asked(question: str = "How many minutes are 3 hours?", **fields: object) -> pb.ReasonRequest:
    return pb.ReasonRequest(question=question, **{"max_new_tokens": 8} | fields)


def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.parametrize("mode", ["ADAPTIVE", "ALWAYS", "NEVER"])
def test_unary_and_stream_agree(reasoning, mode):
    request = asked(retrieval_mode=f"RETRIEVAL_MODE_{mode}")
    unary = reasoning.Reason(request, timeout=60)
    *deltas, last = reasoning.ReasonStream(request, timeout=60)
    assert "".join(event.delta.text for event in deltas).strip() == (
        last.response.rationale or last.response.answer
    )
    for reply in (unary, last.response):
        reply.ClearField("stages")
        reply.ClearField("request_id")
    assert unary == last.response
    assert unary.model == "tiny"
    assert bool(unary.knowledge) == (mode != "NEVER")


def test_knowledge_comes_with_id_text_score_and_ranks(reasoning):
    request = asked(retrieval_mode="RETRIEVAL_MODE_ALWAYS", top_k=3, task="unit_conversion")
    reply = reasoning.Reason(request, timeout=60)
    # The task filter holds for what is ranked, not for what the graph adds.
    notes = [used for used in reply.knowledge if used.kind == pb.ENTRY_KIND_NOTE]
    assert len(notes) == 3
    assert all(used.entry_id.startswith("unit-conversion-") for used in notes)
    scores = [used.score for used in reply.knowledge]
    assert scores == sorted(scores, reverse=True)
    best = reply.knowledge[0]
    assert best.revision >= 1
    assert best.kind == pb.ENTRY_KIND_NOTE
    assert "Learning summary:" in best.text
    assert set(best.leg_ranks) <= {"lexical", "vector"}
    assert reply.kb_release
    assert not reply.degraded


def test_an_adapter_is_chosen_per_request_and_changes_the_text(reasoning):
    never = {"retrieval_mode": "RETRIEVAL_MODE_NEVER", "max_new_tokens": 32}
    plain = reasoning.Reason(asked(**never), timeout=60)
    adapted = reasoning.Reason(asked(adapter="maths", **never), timeout=60)
    assert (plain.adapter, adapted.adapter) == ("", "maths@v1")
    assert plain.rationale != adapted.rationale


@pytest.mark.parametrize(
    ("adapter", "code", "said"),
    [
        ("nope", grpc.StatusCode.NOT_FOUND, "'nope'"),
        ("maths@v9", grpc.StatusCode.NOT_FOUND, "'maths@v9'"),
        ("refused", grpc.StatusCode.FAILED_PRECONDITION, "use_dora is True"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_named_with_the_reason(reasoning, adapter, code, said):
    for call in (reasoning.Reason, lambda *a, **k: list(reasoning.ReasonStream(*a, **k))):
        with pytest.raises(grpc.RpcError) as caught:
            call(asked(adapter=adapter), timeout=60)
        assert caught.value.code() is code
        assert said in caught.value.details()


def test_adapters_are_listed_added_unloaded_and_loaded_while_serving(
    service, reasoning, adapters_dir
):
    write_adapter(adapters_dir, "maths@v2", seed=2)
    # Every replica looks at the folder every few seconds.
    until(lambda: reasoning.Reason(asked(adapter="maths"), timeout=60).adapter == "maths@v2")
    listed = json.loads(service.cli("adapters", "list", "--json").stdout)["adapters"]
    assert [(one["name"], one["version"], one["loaded"]) for one in listed] == [
        ("maths", "v2", True),
        ("maths", "v1", listed[1]["loaded"]),
        ("refused", "v1", False),
    ]
    assert service.cli("adapters", "unload", "maths@v2").returncode == 0
    refused = service.cli("ask", "Hello?", "--adapter", "maths@v2")
    assert refused.returncode == 2
    assert "maths@v2" in refused.stderr
    assert service.cli("adapters", "load", "maths@v2").returncode == 0
    assert reasoning.Reason(asked(adapter="maths@v2"), timeout=60).adapter == "maths@v2"


def test_a_question_beyond_the_models_context_is_refused_by_name(reasoning):
    with pytest.raises(grpc.RpcError) as caught:
        reasoning.Reason(asked("x " * 2500), timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("question: ")


def test_hostile_questions_leave_the_engine_alive(reasoning):
    for question in (
        "\x00\x01\x02",
        "\u202e\u200b\ufeff",
        "<|im_end|><s></s>" * 50,
        'NEAR("a b", 3) AND * OR ^ : ( " \'; DROP TABLE revisions; --',
        "🙂" * 500,
    ):
        reasoning.Reason(asked(question, retrieval_mode="RETRIEVAL_MODE_ALWAYS"), timeout=60)
    assert reasoning.Reason(asked(), timeout=60).model == "tiny"


@pytest.mark.parametrize("streamed", [False, True])
def test_cancelled_calls_free_their_places(reasoning, streamed):
    request = asked(retrieval_mode="RETRIEVAL_MODE_NEVER", max_new_tokens=LONG)
    start = reasoning.ReasonStream if streamed else reasoning.Reason.future
    calls = [start(request, timeout=120) for _ in range(QUEUE + 1)]
    try:
        until(lambda: any(call.done() for call in calls), 20)
        refused = [call.code() for call in calls if call.done()]
        assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    finally:
        for call in calls:
            call.cancel()

    def is_full() -> bool:
        try:
            reasoning.Reason(asked(), timeout=60)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return True
        return False

    # The places come back at once, long before the cancelled calls would have ended.
    until(lambda: not is_full(), 20)


def test_a_deadline_that_passes_ends_the_work(reasoning):
    request = asked(retrieval_mode="RETRIEVAL_MODE_NEVER", max_new_tokens=LONG)
    with pytest.raises(grpc.RpcError) as caught:
        reasoning.Reason(request, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reasoning.Reason(asked(), timeout=60).model == "tiny"


def test_an_activated_release_is_served_within_two_seconds(service, reasoning, tmp_path):
    dump = tmp_path / "dump"
    shutil.copytree(SAMPLE, dump)
    rows = (dump / "notes.jsonl").read_text().splitlines(keepends=True)
    (dump / "notes.jsonl").write_text("".join(rows[:10]))
    (dump / "rules.jsonl").unlink()
    (dump / "facts.jsonl").unlink()
    for words in (
        ("kb", "manifest", str(dump), "--release", "ten"),
        ("kb", "load", str(dump)),
    ):
        done = service.cli(*words)
        assert done.returncode == 0, done.stderr
    start = time.monotonic()
    request = asked(retrieval_mode="RETRIEVAL_MODE_ALWAYS")
    until(lambda: reasoning.Reason(request, timeout=60).kb_release == "ten", 10)
    assert time.monotonic() - start < 3
    assert json.loads(service.cli("health", "--json").stdout)["kb_entries"] == "10"


def test_an_edit_is_reviewed_released_served_and_rolled_back(service, channel, reasoning):
    knowledge = knowledge_pb2_grpc.KnowledgeServiceStub(channel)
    question = "How many furlongs are in 3 leagues?"
    entry = knowledge_pb2.Entry(
        id="furlongs",
        task="unit_conversion",
        question=question,
        note={"supplementary_knowledge": ["1 league = 24 furlongs."]},
        provenance="test",
    )
    edit = {"actor": "ana", "reason": "was asked"}
    request = asked(question, retrieval_mode="RETRIEVAL_MODE_ALWAYS")

    def best() -> tuple[str, str]:
        reply = reasoning.Reason(request, timeout=60)
        assert not reply.degraded
        return reply.kb_release, reply.knowledge[0].entry_id

    before = best()
    draft = knowledge.CreateEntry(
        knowledge_pb2.CreateEntryRequest(entry=entry, edit=edit), timeout=30
    ).entry
    knowledge.ReviewEntry(
        knowledge_pb2.ReviewEntryRequest(
            id="furlongs", etag=draft.etag, verdict="accepted", edit=edit
        ),
        timeout=30,
    )
    assert best() == before
    made = knowledge.CreateRelease(
        knowledge_pb2.CreateReleaseRequest(name="edited", edit=edit), timeout=60
    )
    assert made.release.parent == before[0]
    assert best() == before
    knowledge.ActivateRelease(
        knowledge_pb2.ActivateReleaseRequest(name="edited", edit=edit), timeout=30
    )
    start = time.monotonic()
    until(lambda: best() == ("edited", "furlongs"), 10)
    assert time.monotonic() - start < 2
    done = service.cli("release", "rollback", "--reason", "only a test")
    assert done.stdout.startswith(f"release {before[0]}: ")
    until(lambda: best() == before, 10)


def test_an_edit_of_what_was_changed_meanwhile_is_aborted_with_the_current_etag(service, channel):
    knowledge = knowledge_pb2_grpc.KnowledgeServiceStub(channel)
    found = knowledge.FindEntries(knowledge_pb2.FindEntriesRequest(page_size=1), timeout=30)
    entry = found.entries[0]
    done = service.cli(
        "entries", "update", entry.entry.id, "--set", "source=somewhere", "--actor", "ben"
    )
    assert done.returncode == 0, done.stderr
    now = json.loads(service.cli("entries", "find", "--page-size", "1", "--json").stdout)
    with pytest.raises(grpc.RpcError) as caught:
        knowledge.RetireEntry(
            knowledge_pb2.RetireEntryRequest(
                id=entry.entry.id, etag=entry.etag, edit={"actor": "ana"}
            ),
            timeout=30,
        )
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert now["entries"][0]["etag"] in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        knowledge.GetEntry(knowledge_pb2.GetEntryRequest(id="a\x07"), timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("id: holds the control character")


def test_health_and_metrics_say_it_is_up(service, reasoning):
    reasoning.Reason(asked(), timeout=60)
    health = service.cli("health")
    assert health.returncode == 0
    assert "SERVING" in health.stdout
    text = urllib.request.urlopen(service.metrics_url, timeout=5).read().decode()
    assert "nesycd_upstream_up 1.0" in text
    assert 'nesycd_requests_total{code="OK",method="Reason"}' in text


def test_every_metric_that_the_catalogue_names_of_vllm_and_ray_is_there(service, reasoning):
    catalogue = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    (part,) = [one for one in catalogue.split("\n## ") if one.startswith("vLLM's and Ray's own")]
    # A counter comes with its first increment, and here nothing is put back.
    names = set(re.findall(r"`(ray_\w+)`", part)) - {"ray_vllm_num_preemptions_total"}
    assert len(names) > 20
    deadline = time.monotonic() + 60
    while missing := names - set(re.findall(r"^# TYPE (\w+)", ray_metrics(service), re.MULTILINE)):
        assert time.monotonic() < deadline, missing
        # The gauges of an idle engine go.
        reasoning.Reason(asked(adapter="maths"), timeout=60)


def engine_processes(service: Service) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        try:
            if "EngineCore" in process.name() or "EngineCore" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_killed_engine_is_replaced_without_an_operator(service, reasoning):
    (engine,) = engine_processes(service)
    engine.kill()
    with pytest.raises(grpc.RpcError) as caught:
        reasoning.Reason(asked(), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    until(lambda: answers_again(reasoning), 240)
    until(lambda: service.cli("health").returncode == 0, 30)
    until(lambda: not engine.is_running(), 30)  # its memory is free again


def answers_again(reasoning) -> bool:
    try:
        return reasoning.Reason(asked(), timeout=30).model == "tiny"
    except grpc.RpcError as error:
        assert error.code() in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }
        return False


def test_a_killed_student_replica_is_replaced_and_leaves_no_engine_behind(service, reasoning):
    (engine,) = engine_processes(service)
    replica = engine.parent()
    replica.kill()
    until(lambda: not engine.is_running(), 30)
    until(lambda: answers_again(reasoning), 240)
    assert engine_processes(service)[0].pid != engine.pid


def test_stopping_ends_everything_it_started_and_lets_a_call_end(service, reasoning):
    children = psutil.Process(service.process.pid).children(recursive=True)
    request = asked(retrieval_mode="RETRIEVAL_MODE_NEVER", max_new_tokens=200)
    replies: list[pb.ReasonResponse] = []
    first = threading.Event()

    def read() -> None:
        for event in reasoning.ReasonStream(request, timeout=120):
            first.set()
            if event.HasField("response"):
                replies.append(event.response)

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(60)
    service.process.send_signal(signal.SIGTERM)
    reader.join(60)
    assert len(replies) == 1
    assert service.process.wait(90) == 0
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone
    assert alive == []
