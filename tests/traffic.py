"""Traffic of every kind that the dashboards have a panel for, until it is told to end."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from services.genproto.nesycd.v1 import knowledge_pb2 as kb
from services.genproto.nesycd.v1 import knowledge_pb2_grpc as kb_grpc
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc

EDIT = kb.Edit(actor="traffic", reason="a test")
_TIMEOUT_S = 60.0


class Traffic:
    """Asks, streams, errs, overloads, edits and moves adapters, round after round."""

    def __init__(self, channel: grpc.Channel, *, adapter: str, crowd: int) -> None:
        """`crowd` is more calls at once than the gateway takes."""
        self._reasoning = pb_grpc.ReasoningServiceStub(channel)
        self._adapters = pb_grpc.AdapterServiceStub(channel)
        self._knowledge = kb_grpc.KnowledgeServiceStub(channel)
        self._adapter = adapter
        self._crowd = crowd
        self.rounds = 0

    def round(self) -> None:
        """Everything once."""
        self._ask()
        self._err()
        self._overload()
        self._edit()
        self._move_adapters()
        self.rounds += 1

    def _ask(self) -> None:
        for question in ("How many minutes are 3 hours?", "I am unsure: which day is tomorrow?"):
            for fields in (
                {},
                {"retrieval_mode": "RETRIEVAL_MODE_ALWAYS", "top_k": 4},
                {"retrieval_mode": "RETRIEVAL_MODE_NEVER"},
                {"adapter": self._adapter},
            ):
                request = pb.ReasonRequest(question=question, max_new_tokens=16, **fields)
                self._reasoning.Reason(request, timeout=_TIMEOUT_S)
                list(self._reasoning.ReasonStream(request, timeout=_TIMEOUT_S))
        self._reasoning.Describe(pb.DescribeRequest(), timeout=_TIMEOUT_S)

    def _err(self) -> None:
        empty = pb.ReasonRequest()
        hurried = pb.ReasonRequest(question="I am unsure: what is this?", budget_ms=1)
        for request in (empty, hurried):
            _failing(lambda request=request: self._reasoning.Reason(request, timeout=_TIMEOUT_S))
        stale = kb.ReviewEntryRequest(id="no-such-entry", etag="x", verdict="accepted", edit=EDIT)
        _failing(lambda: self._knowledge.ReviewEntry(stale, timeout=_TIMEOUT_S))

    def _overload(self) -> None:
        request = pb.ReasonRequest(question="unsure " * 200)
        with ThreadPoolExecutor(self._crowd) as crowd:
            for _ in range(self._crowd):
                crowd.submit(_failing, lambda: self._reasoning.Reason(request, timeout=_TIMEOUT_S))

    def _edit(self) -> None:
        name = f"traffic-{uuid.uuid4().hex[:12]}"
        entry = kb.Entry(
            id=name,
            task="traffic",
            question=f"What is {name}?",
            note={"supplementary_knowledge": [f"{name} is a name."]},
            provenance="test",
        )
        draft = self._knowledge.CreateEntry(
            kb.CreateEntryRequest(entry=entry, edit=EDIT), timeout=_TIMEOUT_S
        ).entry
        review = kb.ReviewEntryRequest(id=name, etag=draft.etag, verdict="accepted", edit=EDIT)
        self._knowledge.ReviewEntry(review, timeout=_TIMEOUT_S)
        self._knowledge.CreateRelease(
            kb.CreateReleaseRequest(name=name, edit=EDIT), timeout=_TIMEOUT_S
        )
        self._knowledge.ActivateRelease(
            kb.ActivateReleaseRequest(name=name, edit=EDIT), timeout=_TIMEOUT_S
        )

    def _move_adapters(self) -> None:
        self._adapters.ListAdapters(pb.ListAdaptersRequest(), timeout=_TIMEOUT_S)
        self._adapters.UnloadAdapter(
            pb.UnloadAdapterRequest(adapter=self._adapter), timeout=_TIMEOUT_S
        )
        self._adapters.LoadAdapter(pb.LoadAdapterRequest(adapter=self._adapter), timeout=_TIMEOUT_S)


def _failing(call: Callable[[], object]) -> None:
    """A call whose failure is part of the picture."""
    try:
        call()
    except grpc.RpcError:
        return


@contextmanager
def traffic(address: str, *, adapter: str, crowd: int) -> Iterator[Traffic]:
    """Keeps the traffic up in a thread. Raises at the end what ended it before its time."""
    ended = threading.Event()
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(1) as pool:
        made = Traffic(channel, adapter=adapter, crowd=crowd)

        def drive() -> None:
            while not ended.wait(0.5):
                made.round()

        driving = pool.submit(drive)
        try:
            yield made
        finally:
            ended.set()
            driving.result()
