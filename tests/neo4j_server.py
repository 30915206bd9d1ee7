"""A real Neo4j server for tests: the one that the environment names, or one started here.

`NEO4J_URI` (with `NEO4J_USER` and `NEO4J_PASSWORD`) names a running server; it is emptied.
Otherwise `NESYCD_TEST_NEO4J` or `NEO4J_HOME` names an unpacked distribution, from which a server
of its own is started in an empty folder, on a free port, and ended with the tests. Without
either, `tests.needs.missing`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from services.common.settings import KnowledgeSettings, Settings
from tests.needs import missing

PASSWORD = "for-tests-only"  # noqa: S105 - of a server that only this machine reaches

START_S = 120.0
_PATIENT = {"neo4j_timeout_s": "20"}  # a server that has just started plans slowly

_CONF = """\
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
dbms.usage_report.enabled=false
server.memory.heap.initial_size={heap}
server.memory.heap.max_size={heap}
server.memory.pagecache.size={page_cache}
"""


@dataclass
class Server:
    """Where a server is, and how to speak to it."""

    uri: str
    user: str
    password: str

    @property
    def knowledge(self) -> dict[str, str]:
        """The settings of the section `knowledge` that name this server."""
        return {
            "store": "neo4j",
            "neo4j_uri": self.uri,
            "neo4j_user": self.user,
            "neo4j_password": self.password,
        }

    def settings(self, **knowledge: object) -> Settings:
        """Settings of this process, to use this server."""
        return Settings(
            knowledge=KnowledgeSettings.model_validate(self.knowledge | _PATIENT | knowledge)
        )

    def environment(self) -> dict[str, str]:
        """The environment of another process, to use this server."""
        named = self.knowledge | _PATIENT
        return {f"NESYCD_KNOWLEDGE__{name.upper()}": text for name, text in named.items()}

    def run(self, cypher: str, **parameters: object) -> list[dict[str, object]]:
        """Runs one statement in a transaction of its own."""
        with (
            neo4j.GraphDatabase.driver(
                self.uri,
                auth=(self.user, self.password),
                notifications_min_severity="OFF",
            ) as driver,
            driver.session() as session,
        ):
            return session.run(cypher, parameters).data()

    def empty(self, *, schema: bool = False) -> None:
        """Removes all nodes and the indexes of loaded releases; with `schema` the rest too."""
        self.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS")
        names = "SHOW INDEXES YIELD name, type, owningConstraint WHERE type <> 'LOOKUP'"
        for row in self.run(names):
            of_release = str(row["name"]).rpartition("_")[2].isdecimal()
            if row["owningConstraint"] is None and (schema or of_release):
                self.run(f"DROP INDEX {row['name']} IF EXISTS")
        if schema:
            for row in self.run("SHOW CONSTRAINTS YIELD name"):
                self.run(f"DROP CONSTRAINT {row['name']} IF EXISTS")


@dataclass
class OwnServer(Server):
    """A server that was started here, in a folder of its own."""

    home: Path
    command: list[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Of the server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self, timeout_s: float = START_S) -> None:
        """Starts it, and waits until it answers."""
        (self.home / "run" / "neo4j.pid").unlink(missing_ok=True)
        log = (self.home / "console.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + timeout_s
        while not self.answers():
            gone = self._process.poll() is not None
            if gone or time.monotonic() > end:
                self.kill()
                said = (self.home / "console.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Neo4j {'ended' if gone else 'does not answer'}: {said}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether a query gets through."""
        try:
            self.run("RETURN 1")
        except (DriverError, Neo4jError):
            return False
        return True

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops it in its tracks: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def distribution() -> Path | None:
    """The unpacked distribution that the environment names."""
    for variable in ("NESYCD_TEST_NEO4J", "NEO4J_HOME"):
        folder = os.environ.get(variable)
        if folder and (Path(folder) / "bin" / "neo4j").is_file():
            return Path(folder).resolve()
    return None


def prepared(
    folder: Path, *, heap: str = "512m", page_cache: str = "256m", more: str = ""
) -> OwnServer:
    """A server in `folder`, ready to be started; `more` are lines for its neo4j.conf.

    Skips where there is no distribution.
    """
    source = distribution()
    if source is None:
        missing(
            "no Neo4j: set NEO4J_URI, or NEO4J_HOME or NESYCD_TEST_NEO4J to an unpacked "
            "distribution"
        )
    if shutil.which("java") is None:
        missing("Neo4j needs Java 17 or 21 on the PATH")
    port = free_port()
    (folder / "conf").mkdir(parents=True)
    (folder / "lib").symlink_to(source / "lib")
    (folder / "conf" / "neo4j.conf").write_text(
        _CONF.format(port=port, heap=heap, page_cache=page_cache) + more
    )
    environment = os.environ | {"NEO4J_HOME": str(folder), "NEO4J_CONF": str(folder / "conf")}

    def launch(name: str, *arguments: str) -> str:
        return subprocess.run(
            [source / "bin" / name, *arguments],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    launch("neo4j-admin", "dbms", "set-initial-password", PASSWORD)
    # The server's own command, so that it is this process's child and no launcher's.
    command = shlex.split(launch("neo4j", "console", "--dry-run").strip().splitlines()[-1])
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig", "KILL", *command]  # should this process be killed
    return OwnServer(f"bolt://127.0.0.1:{port}", "neo4j", PASSWORD, folder, command)


@contextmanager
def own_server(folder: Path, **conf: str) -> Iterator[OwnServer]:
    """A running server in `folder`, whatever the environment names: one that may be killed."""
    server = prepared(folder, **conf)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def running_server(folder: Path, **conf: str) -> Iterator[Server]:
    """The server that the environment names, or one of its own in `folder`."""
    if uri := os.environ.get("NEO4J_URI"):
        user = os.environ.get("NEO4J_USER", "neo4j")
        yield Server(uri, user, os.environ.get("NEO4J_PASSWORD", ""))
        return
    with own_server(folder, **conf) as server:
        yield server
