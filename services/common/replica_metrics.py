"""Which metrics the replicas inside Ray keep; `services.replica_metrics` keeps them.

Ray shows each as `ray_` + name on a node's metrics port, with the labels `deployment`, `replica`
and `application` beside those named here. docs/metrics.md lists them and is held to this module
by a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplicaMetric:
    """One metric.

    Attributes:
        name: without Ray's prefix.
        kind: counter, gauge or histogram.
        labels: beside those of the replica.
        meaning: in a sentence.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


IN_FLIGHT = ReplicaMetric(
    "nesycd_student_in_flight", "gauge", (), "Passes of the student that run or wait now."
)
REFUSED = ReplicaMetric(
    "nesycd_student_refused_total", "counter", (), "Passes refused because the queue was full."
)
ADAPTER_LOADS = ReplicaMetric(
    "nesycd_student_adapter_loads_total",
    "counter",
    ("adapter",),
    "Times that an adapter's weights were brought into the engine.",
)
LOOKUP_SECONDS = ReplicaMetric(
    "nesycd_knowledge_lookup_seconds", "histogram", (), "Time that a lookup took, failed or not."
)
LOOKUP_FAILURES = ReplicaMetric(
    "nesycd_knowledge_lookup_failures_total",
    "counter",
    ("cause",),
    "Lookups that brought nothing because they failed or were given up.",
)
CONNECTIONS = ReplicaMetric(
    "nesycd_knowledge_connections",
    "gauge",
    ("state",),
    "Connections to Neo4j; absent with the embedded store.",
)
RELEASE = ReplicaMetric(
    "nesycd_knowledge_release_info",
    "gauge",
    ("release",),
    "1 for the release that is active, 0 for those that were.",
)
EDITS = ReplicaMetric(
    "nesycd_knowledge_edits_total", "counter", ("rpc",), "Edits and changes of release made."
)

ALL = (
    IN_FLIGHT,
    REFUSED,
    ADAPTER_LOADS,
    LOOKUP_SECONDS,
    LOOKUP_FAILURES,
    CONNECTIONS,
    RELEASE,
    EDITS,
)
