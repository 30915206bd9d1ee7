"""The metrics of the student's and the knowledge base's replicas, which Ray exports.

Each node's metrics port shows them as `ray_` + name, with `deployment`, `replica` and
`application` beside the labels named here. `services.common.replica_metrics` says which
there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray.serve import metrics

from services.common import replica_metrics as common
from services.common.errors import KnowledgeUnavailableError, OverloadedError
from services.common.replica_metrics import ReplicaMetric
from services.knowledge.protocol import PoolUse

_LOOKUP_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]


def _make(metric: ReplicaMetric) -> Any:
    described: dict[str, Any] = {"description": metric.meaning, "tag_keys": metric.labels}
    if metric.kind == "counter":
        return metrics.Counter(metric.name.removesuffix("_total"), **described)  # Ray puts it there
    if metric.kind == "gauge":
        return metrics.Gauge(metric.name, **described)
    return metrics.Histogram(metric.name, boundaries=_LOOKUP_SECONDS, **described)


class StudentMetrics:
    """Of one student replica."""

    def __init__(self) -> None:
        self._running = 0
        self._in_flight = _make(common.IN_FLIGHT)
        self._refused = _make(common.REFUSED)
        self._loads = _make(common.ADAPTER_LOADS)
        self._loads_seen: dict[str, int] = {}
        self._in_flight.set(0)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Counts one pass while it runs, and if it is refused."""
        self._running += 1
        self._in_flight.set(self._running)
        try:
            yield
        except OverloadedError:
            self._refused.inc()
            raise
        finally:
            self._running -= 1
            self._in_flight.set(self._running)

    def renew(self, loads: Mapping[str, int]) -> None:
        """Counts what was loaded since the last time, of all loads by adapter.

        Says anew how many passes run: Ray drops a gauge that nobody has set for 20 s.
        """
        self._in_flight.set(self._running)
        for adapter, times in loads.items():
            new = times - self._loads_seen.get(adapter, 0)
            if new:
                self._loads.inc(new, tags={"adapter": adapter})
        self._loads_seen = dict(loads)


class KnowledgeMetrics:
    """Of one replica of the knowledge base."""

    def __init__(self) -> None:
        self._seconds = _make(common.LOOKUP_SECONDS)
        self._failures = _make(common.LOOKUP_FAILURES)
        self._connections = _make(common.CONNECTIONS)
        self._release = _make(common.RELEASE)
        self._edits = _make(common.EDITS)
        self._active = ""

    @contextmanager
    def lookup(self) -> Iterator[None]:
        """Times one lookup, and counts it if it fails."""
        start = time.monotonic()
        cause = "cancelled"  # by the reasoner, whose time for it is up
        try:
            yield
            cause = ""
        except KnowledgeUnavailableError:
            cause = "unavailable"
            raise
        except Exception:
            cause = "error"
            raise
        finally:
            self._seconds.observe(time.monotonic() - start)
            if cause:
                self._failures.inc(tags={"cause": cause})

    def edited(self, rpc: str) -> None:
        """Counts a change of an entry or a release."""
        self._edits.inc(tags={"rpc": rpc})

    def release(self, name: str) -> None:
        """Says which release is active; "" for none."""
        if self._active and name != self._active:
            self._release.set(0, tags={"release": self._active})
        if name:
            self._release.set(1, tags={"release": name})
        self._active = name

    def pool(self, use: PoolUse) -> None:
        """Says how many connections there are."""
        self._connections.set(use.in_use, tags={"state": "in_use"})
        self._connections.set(use.idle, tags={"state": "idle"})
