"""`nesycd entries` and `nesycd release` against a real service: what people see and can do."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import grpc
import pytest
import structlog

from services.genproto.nesycd.v1 import knowledge_pb2_grpc
from services.reasoner.knowledge_rpcs import KnowledgeRpcs
from tests.knowledge_services import open_service

ROW = {
    "id": "percent-3",
    "task": "percent",
    "question": "What is 5 percent of 20?",
    "learning_summary": ["Halve a tenth."],
    "supplementary_knowledge": [],
    "source": "",
    "provenance": "ana",
}


async def _serve(folder: Path, port: Future[int], ended: asyncio.Event) -> None:
    service = await open_service(folder)
    server = grpc.aio.server()
    rpcs = KnowledgeRpcs(service.servicer)
    knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server(rpcs, server)
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    port.set_result(number)
    await ended.wait()
    await server.stop(0)
    await service.store.close()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where a service listens, in a thread of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop, port, ended = asyncio.new_event_loop(), Future(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[_serve(tmp_path, port, ended)])
    thread.start()
    try:
        yield f"127.0.0.1:{port.result(30)}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
        structlog.reset_defaults()


@pytest.fixture
def run(nesycd, address, monkeypatch):
    """Runs a command that has to succeed; what it prints."""
    monkeypatch.setenv("NESYCD_ADDRESS", address)
    monkeypatch.setenv("LOGNAME", "ana")

    def run(*words: str) -> str:
        ended = nesycd(*words)
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    return run


@pytest.fixture
def refused(nesycd, address, monkeypatch):
    """Runs a command that has to fail by the caller's fault; its one line."""
    monkeypatch.setenv("NESYCD_ADDRESS", address)

    def refused(*words: str) -> str:
        ended = nesycd(*words)
        assert ended.code == 2
        assert ended.out == ""
        (line,) = ended.err.splitlines()
        return line

    return refused


def file_of(folder: Path, *rows: object) -> str:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(file)


def test_find_lists_aligned_lines_and_counts(run):
    assert run("entries", "find").splitlines() == [
        "capital    r1  fact  accepted  any task  Paris is capital of France",
        "in         r1  rule  accepted  any task  in(X, Y) :- is_capital_of(X, Y).",
        "percent-1  r1  note  accepted  percent   What is 10 percent of 50?",
        "percent-2  r1  note  accepted  percent   What is 10 percent of 60?",
        "tides-1    r1  note  accepted  tides     When is the tide high?",
        "5 of 5 entries; 3 note, 1 fact, 1 rule; 5 accepted; 2 any task, 2 percent, 1 tides",
    ]


def test_find_narrows_and_pages(run):
    first, count, more = run("entries", "find", "percent", "--page-size", "1").splitlines()
    assert first.startswith("percent-1 ")
    assert count.startswith("1 of 2 entries; ")
    token = more.removeprefix("next page: --page-token ")
    second, _ = run("entries", "find", "percent", "--page-token", token).splitlines()
    assert second.startswith("percent-2 ")
    assert run("entries", "find", "--kind", "rule", "--kind", "fact").count("\n") == 3
    assert run("entries", "find", "--status", "draft") == "0 of 0 entries\n"


def test_search_shows_scores_and_ranks(run):
    best, _, release = run(
        "entries", "search", "What is 10 percent of 50?", "--top-k", "2"
    ).splitlines()
    assert re.fullmatch(
        r"0\.\d{4}  lexical 1, vector 1  percent-1 r1  note  What is 10 percent of 50\?", best
    )
    assert release == "2 entries of release r1"


def test_get_shows_the_whole_entry(run):
    lines = run("entries", "get", "capital").splitlines()
    assert lines[:2] == ["entry        capital, fact, revision 1", "status       accepted"]
    assert "says         Paris is capital of France" in lines
    assert any(re.fullmatch(r"loaded +2\d{3}-.* UTC by curated: r1", line) for line in lines)
    assert lines[-1] == "uses         found 0 times, 0 right, 0 wrong"


def test_what_get_prints_as_json_is_what_update_takes(run, tmp_path):
    row = json.loads(run("entries", "get", "percent-1", "--json"))
    assert row["revision"] == 1
    row["question"] = "What is 10 percent of 55?"
    file = file_of(tmp_path, row)
    assert run("entries", "update", file) == "percent-1: updated, now revision 2, draft\n"
    assert json.loads(run("entries", "get", "percent-1", "--json")) == row | {"revision": 2}


def test_update_refuses_a_row_made_from_an_older_revision(run, refused, tmp_path):
    row = json.loads(run("entries", "get", "percent-1", "--json"))
    run("entries", "update", "percent-1", "--set", "question=Other?")
    assert refused("entries", "update", file_of(tmp_path, row | {"question": "Mine?"})) == (
        "nesycd: percent-1 is at revision 2, yours was made from 1: get it again"
    )


def test_several_entries_are_created_reviewed_and_released(run, tmp_path):
    file = file_of(tmp_path, ROW, ROW | {"id": "percent-4", "question": "Why?"})
    assert run("entries", "create", file, "--batch", "b1", "--reason", "class").splitlines() == [
        "percent-3: created, now revision 1, draft",
        "percent-4: created, now revision 1, draft",
    ]
    run("entries", "review", "percent-3", "--accept")
    run("entries", "review", "percent-4", "--reject")
    preview = run("release", "preview")
    assert preview.startswith("added    percent-3\n")
    assert "    + question: What is 5 percent of 20?\n" in preview
    assert preview.endswith("changes to release r1: 1; entries then: 6\n")
    made = run("release", "create", "r2", "--activate", "--reason", "class")
    assert made == "release r2: 6 entries, active\n"
    listed = run("release", "list").splitlines()
    assert listed[0].startswith("  r1  5 entries  loaded   curated ")
    assert listed[1].startswith("* r2  6 entries  from r1  ana: class ")
    assert run("release", "rollback") == "release r1: 5 entries, active\n"
    assert run("release", "activate", "r2") == "release r2: 6 entries, active\n"


def test_characters_that_would_deceive_a_reviewer_are_shown_escaped(run, tmp_path):
    row = ROW | {"learning_summary": ["safe \u202eelbat pord\u2066"]}
    run("entries", "create", file_of(tmp_path, row))
    escaped = r"- safe \u202eelbat pord\u2066"
    assert escaped in run("entries", "get", "percent-3")
    assert escaped.removeprefix("- ") in run("entries", "history", "percent-3")
    shown = json.loads(run("entries", "get", "percent-3", "--json"))
    assert shown["learning_summary"] == row["learning_summary"]


def test_history_tells_who_changed_what_and_why(run):
    run("entries", "update", "percent-1", "--set", "concepts=tenth", "--reason", "clearer")
    run("entries", "review", "percent-1", "--accept", "--actor", "ben")
    first, *rest = [
        re.sub(r"2\d{3}-\S+ \S+ UTC", "WHEN", line)
        for line in run("entries", "history", "percent-1").splitlines()
        if not line.startswith("    + ") or "concepts" in line
    ]
    assert first == "r1  loaded, accepted  WHEN by curated: r1"
    assert rest == [
        "r2  updated, draft  WHEN by ana: clearer",
        "    + concepts: tenth",
        "r3  reviewed, accepted  WHEN by ben",
    ]


def test_entries_are_retired_reverted_and_merged(run):
    assert run("entries", "retire", "tides-1") == "tides-1: retired, now revision 2, retired\n"
    assert run("entries", "revert", "tides-1", "--to", "1") == (
        "tides-1: reverted, now revision 3, accepted\n"
    )
    assert run("entries", "merge", "percent-2", "--into", "percent-1") == (
        "percent-2: merged into percent-1, now revision 2, retired\n"
    )
    assert "status       retired, merged into percent-1\n" in run("entries", "get", "percent-2")


def test_a_batch_is_undone(run):
    for entry_id in ("percent-1", "percent-2"):
        run("entries", "update", entry_id, "--set", "question=X?", "--batch", "b1")
    assert run("entries", "revert-batch", "b1").splitlines() == [
        "percent-1: reverted, now revision 3, accepted",
        "percent-2: reverted, now revision 3, accepted",
    ]


def test_duplicates_are_listed(run):
    lines = run("entries", "duplicates", "--min-similarity", "0.5").splitlines()
    assert re.fullmatch(r"0\.\d{3}  percent-1  percent-2", lines[0])
    assert lines[1:3] == ["       What is 10 percent of 50?", "       What is 10 percent of 60?"]
    assert lines[-1].endswith(" pairs in release r1")


def test_outcomes_are_counted(run):
    assert run("entries", "outcome", "percent-1", "percent-2", "--right") == "recorded\n"
    assert "found 0 times, 1 right, 0 wrong" in run("entries", "get", "percent-2")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("entries", "find"), "facets"),
        (("entries", "search", "Why?"), "found"),
        (("entries", "history", "in"), "steps"),
        (("entries", "duplicates"), "pairs"),
        (("entries", "retire", "in"), "entry"),
        (("release", "list"), "releases"),
        (("release", "preview"), "changes"),
    ],
)
def test_programs_get_json(run, words, key):
    assert key in json.loads(run(*words, "--json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("entries", "get", "no"), "nesycd: NOT_FOUND: there is no entry 'no'."),
        (
            ("entries", "find", "--kind", "notes"),
            "nesycd: INVALID_ARGUMENT: kinds[0]: 'notes' is not one of note, rule, fact",
        ),
        (
            ("entries", "update", "in", "--set", "confidence=3"),
            "nesycd: --set: confidence: Input should be less than or equal to 1",
        ),
        (("entries", "create", "/none"), "nesycd: /none: No such file or directory"),
        (
            ("entries", "review", "in", "--accept"),
            "nesycd: FAILED_PRECONDITION: entry 'in' is accepted, not a draft.",
        ),
        (
            ("entries", "retire", "in", "--actor", "a" * 129),
            "nesycd: INVALID_ARGUMENT: edit.actor: String should have at most 128 characters",
        ),
        (("release", "activate", "no"), "nesycd: NOT_FOUND: "),
        (("release", "rollback"), "nesycd: NOT_FOUND: "),
    ],
)
def test_what_cannot_be_done_is_one_line(refused, words, said):
    assert refused(*words).startswith(said)


def test_an_id_that_is_taken_is_the_callers_to_mend(refused, tmp_path):
    line = refused("entries", "create", file_of(tmp_path, ROW | {"id": "percent-1"}))
    assert line.startswith("nesycd: ALREADY_EXISTS: ")
