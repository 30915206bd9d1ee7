"""The Prometheus metrics of the gateway, which sees every call and every response.

Base units, bounded labels. docs/metrics.md lists them and is held to this module by a test.
"""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.common.records import DegradedCause, EntryKind, GateDecision

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_TENTHS = tuple(i / 10 for i in range(1, 11))


class Metrics:
    """One set of metrics on one registry, so that tests do not share counts.

    Args:
        registry: of this set alone.
        has_certificate: whether TLS is served; without it no expiry is exposed.
    """

    def __init__(self, registry: CollectorRegistry, *, has_certificate: bool = False) -> None:
        self.registry = registry
        self.requests = Counter(
            "nesycd_requests", "Calls ended, by method and status code.",
            ["method", "code"], registry=registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "nesycd_request_duration_seconds", "Time from a call's arrival to its end.",
            ["method"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.first_text_seconds = Histogram(
            "nesycd_time_to_first_text_seconds",
            "Time from a ReasonStream call's arrival to its first text.",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "nesycd_stage_duration_seconds", "Time spent in one stage of an answer.",
            ["stage"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "nesycd_requests_in_flight", "Calls being answered now.", registry=registry
        )
        self.tokens = Counter(
            "nesycd_tokens", "Tokens read (prompt) and written (completion) by the student.",
            ["kind"], registry=registry,
        )  # fmt: skip
        self.confidence = Histogram(
            "nesycd_confidence", "Confidence of direct answers, 0 to 1.",
            buckets=_TENTHS, registry=registry,
        )  # fmt: skip
        self.gate_decisions = Counter(
            "nesycd_gate_decisions", "Answers by what the gate decided.",
            ["decision"], registry=registry,
        )  # fmt: skip
        self.degraded = Counter(
            "nesycd_degraded_answers", "Answers made without a part that failed or was late.",
            ["cause"], registry=registry,
        )  # fmt: skip
        self.unparsed = Counter(
            "nesycd_unparsed_answers", "Answers in which no answer could be read.",
            registry=registry,
        )  # fmt: skip
        self.knowledge_entries = Histogram(
            "nesycd_knowledge_entries", "Knowledge entries put before the student per answer.",
            buckets=(0, 1, 2, 3, 4, 5, 6, 7, 8), registry=registry,
        )  # fmt: skip
        self.upstream_up = Gauge(
            "nesycd_upstream_up", "1 when the inner service is ready, otherwise 0.",
            registry=registry,
        )  # fmt: skip
        self.answers = Counter(
            "nesycd_answers", "Answers by the adapter that wrote them, none for the bare model.",
            ["adapter"], registry=registry,
        )  # fmt: skip
        self.retrieved = Counter(
            "nesycd_retrieved_entries", "Knowledge entries put before the student, by kind.",
            ["kind"], registry=registry,
        )  # fmt: skip
        self.release = Gauge(
            "nesycd_kb_release_info",
            "1 for the knowledge release that is active, as the inner service told last.",
            ["release"], registry=registry,
        )  # fmt: skip
        self.release_activated = Gauge(
            "nesycd_kb_release_activated_timestamp_seconds",
            "Unix time at which this gateway first heard that the release is active.",
            ["release"], registry=registry,
        )  # fmt: skip
        self.build = Gauge(
            "nesycd_build_info", "1, with the version of this gateway.",
            ["version"], registry=registry,
        )  # fmt: skip
        self.certificate_expiry = Gauge(
            "nesycd_certificate_expiry_timestamp_seconds",
            "Unix time at which the served certificate ends; absent without TLS.",
            registry=registry if has_certificate else None,
        )  # fmt: skip
        for decision in GateDecision:
            self.gate_decisions.labels(decision.value)
        for cause in DegradedCause:
            self.degraded.labels(cause.value)
        for kind in ("prompt", "completion"):
            self.tokens.labels(kind)
        for entry_kind in EntryKind:
            self.retrieved.labels(entry_kind.value)
        self.build.labels(version("nesycd")).set(1)
        self._active = ""

    def release_is(self, name: str, *, now_s: float) -> None:
        """Says which knowledge release is active at the Unix time `now_s`; "" for none."""
        if name == self._active:
            return
        self._active = name
        self.release.clear()
        self.release_activated.clear()
        if name:
            self.release.labels(name).set(1)
            self.release_activated.labels(name).set(now_s)
