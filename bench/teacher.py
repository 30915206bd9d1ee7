"""How full the teacher stage keeps an endpoint: requests in flight against the endpoint's limit.

    python -m bench.teacher                                  # limits 4, 16 and 64, 3 rounds
    python -m bench.teacher --limits 16 --questions 40 --reply-s 0.5

A fake endpoint in a process of its own speaks real HTTP, takes between half and one and a half of
`--reply-s` for each reply, and refuses with 429 what exceeds its limit. The stage's own worker
asks it for rationales, with the ledger and the row file of a real run, and `in_flight` set to the
limit. `in_flight` is the mean number of requests inside the endpoint while there is still work to
hand out, `share` that against the limit (goal: at least 0.95), `over` the requests refused (goal:
none), `time_ratio` the shortest possible time, which is the replies' times over the limit, against
the time taken from first to last row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import record
from tests.unit.training.teachers.endpoint_server import completion, refusal
from training.config import EndpointTeacher, TeachConfig
from training.inference import work_through
from training.row_file import RowFile, read_rows
from training.rows import Question, Rationale
from training.teachers.writing import RationaleWriter, wanted

GOAL = 0.95
REPLY = completion("One step. Therefore, the answer is 3.").content
OVER = refusal(HTTPStatus.TOO_MANY_REQUESTS, "over the limit").content


@dataclass
class Occupancy:
    """What the endpoint saw of one round.

    Attributes:
        stays: when each request that was answered came and went, in seconds.
        over: requests refused because they exceeded the limit.
    """

    stays: list[tuple[float, float]]
    over: int = 0

    def mean_in_flight(self) -> float:
        """Requests inside, from the first one's coming to the last one's."""
        begin, end = self.stays[0][0], max(came for came, _ in self.stays)
        return sum(min(went, end) - came for came, went in self.stays) / (end - begin)

    def shortest_s(self, limit: int) -> float:
        """What the same replies take with the limit used up all the time."""
        return sum(went - came for came, went in self.stays) / limit


def serve(control: Connection, reply_s: float) -> None:
    """The endpoint: tells its port, then for each limit it is sent what it saw until then."""
    lock = threading.Lock()
    seen, inside, limit = Occupancy([]), 0, 1
    draw = random.Random(0)  # noqa: S311 - repeatable lengths, no secret

    class Chat(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            nonlocal inside
            came = time.perf_counter()
            self.rfile.read(int(self.headers["content-length"]))
            with lock:
                fits = inside < limit
                inside += fits
                seen.over += not fits
                stay = reply_s * draw.uniform(0.5, 1.5)
            if not fits:
                self._reply(HTTPStatus.TOO_MANY_REQUESTS, OVER)
                return
            time.sleep(stay)
            with lock:
                inside -= 1
                seen.stays.append((came, time.perf_counter()))
            self._reply(HTTPStatus.OK, REPLY)

        def _reply(self, status: HTTPStatus, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    control.send(server.server_port)
    while (message := control.recv()) is not None:
        with lock:
            seen.stays.sort()
            control.send(seen)
            seen, limit = Occupancy([]), message


@contextmanager
def endpoint(reply_s: float) -> Iterator[tuple[int, Connection]]:
    """Its port, and where it is told limits."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, reply_s))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send(None)
        process.join()


def measure(port: int, control: Connection, limit: int, questions: int) -> dict[str, float]:
    """One round: asks every question through the stage's worker."""
    control.send(limit)
    control.recv()
    teacher = EndpointTeacher(
        kind="endpoint",
        base_url=f"http://127.0.0.1:{port}/v1",
        model="mentor",
        key_variable="",
        in_flight=limit,
    )
    asked = [
        Question(key=str(number), dataset="bench", task="bench", text=f"{number} + 1?", gold="3")
        for number in range(questions)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        written_at: list[float] = []
        with RowFile(path, Rationale) as rows:
            work_through(
                wanted(asked, 1),
                RationaleWriter(TeachConfig(teacher=teacher), Path(folder)),
                rows,
                in_flight=limit,
                advance=lambda _=1: written_at.append(time.perf_counter()),
            )
        failed = sum(bool(row.error) for row in read_rows(path, Rationale))
    control.send(limit)
    seen: Occupancy = control.recv()
    return {
        "in_flight": seen.mean_in_flight(),
        "over": seen.over,
        "failed": failed,
        "time_ratio": seen.shortest_s(limit) / (written_at[-1] - seen.stays[0][0]),
    }


def summary(limit: int, rounds: list[dict[str, float]]) -> dict[str, object]:
    """One row of the table: means over the rounds, and the spread of the share."""
    shares = [one["in_flight"] / limit for one in rounds]
    return {
        "limit": limit,
        "in_flight": round(mean(one["in_flight"] for one in rounds), 2),
        "share": round(median(shares), 3),
        "share_min": round(min(shares), 3),
        "share_max": round(max(shares), 3),
        "over": int(sum(one["over"] for one in rounds)),
        "failed": int(sum(one["failed"] for one in rounds)),
        "time_ratio": round(median(one["time_ratio"] for one in rounds), 3),
    }


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limits", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--questions", type=int, default=20, help="per place of the limit")
    parser.add_argument("--reply-s", type=float, default=0.5, help="mean time of a reply")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="teacher", help="of the result file")
    args = parser.parse_args()
    manifest = record.manifest(vars(args), ["openai"])
    console = Console(width=120)
    results: list[dict[str, object]] = []
    with endpoint(args.reply_s) as (port, control), Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task("rounds", total=len(args.limits) * args.rounds)
        for limit in args.limits:
            rounds = []
            for _ in range(args.rounds):
                rounds.append(measure(port, control, limit, limit * args.questions))
                bars.advance(task)
            results.append(summary(limit, rounds))
    table = Table(title="Teacher requests in flight")
    for heading in results[0]:
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(*map(str, result.values()))
    console.print(table)
    goals = {"share": GOAL, "over": 0}
    written = record.write(args.name, {"manifest": manifest, "goals": goals, "results": results})
    print(f"written to {written}")


if __name__ == "__main__":
    main()
