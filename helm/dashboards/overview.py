"""Overview: what callers get, what is in the way, and what is served."""

from __future__ import annotations

from helm.dashboards.grafana import Page, Panel, Query, Row, quantiles
from helm.dashboards.shared import answers_by_adapter, degraded_by_cause

_ASKED = 'method=~"Reason|ReasonStream"'
_FAULTS = 'code=~"INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED|UNKNOWN"'


def _failed_share(window: str) -> str:
    return (
        f"((sum(increase(nesycd_requests_total{{@, {_ASKED}, {_FAULTS}}}[{window}])) or vector(0))"
        f" / sum(increase(nesycd_requests_total{{@, {_ASKED}}}[{window}])))"
    )


def _share_in_time(window: str) -> str:
    return (
        "sum(increase(nesycd_request_duration_seconds_bucket"
        f'{{@, method="Reason", le="$latency_s"}}[{window}]))'
        f' / sum(increase(nesycd_request_duration_seconds_count{{@, method="Reason"}}[{window}]))'
    )


_SERVICE_LEVEL = Row(
    "Service level",
    (
        Panel(
            "Availability",
            "Share of the calls of Reason and ReasonStream, over the range shown, that did not "
            "fail by the service's fault. Refused calls (RESOURCE_EXHAUSTED) do not count: see "
            "Saturation.",
            "percentunit",
            (Query("availability", f"1 - {_failed_share('$__range')}"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Error budget left",
            "What is left, over the range shown, of the failures that the objective allows. "
            "Below zero: the objective is missed.",
            "percentunit",
            (Query("budget left", f"1 - {_failed_share('$__range')} / (1 - $objective)"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Answers in time",
            "Share of the calls of Reason, over the range shown, that ended within the time chosen "
            "at the top of the page.",
            "percentunit",
            (Query("within $latency_s s", _share_in_time("$__range")),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Calls",
            "Calls of every method that ended, per second.",
            "reqps",
            (Query("calls", "sum(rate(nesycd_requests_total{@}[$__rate_interval]))"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "In flight",
            "Calls being answered now, at all gateways.",
            "short",
            (Query("in flight", "sum(nesycd_requests_in_flight{@})"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Gateways that see the student",
            "Share of the gateways to which the inner service answers with a live student. "
            "Below 100 %, some callers get UNAVAILABLE.",
            "percentunit",
            (Query("ready", "avg(nesycd_upstream_up{@})"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Availability over time",
            "The same share, interval by interval, beside the objective.",
            "percentunit",
            (
                Query("availability", f"1 - {_failed_share('$__rate_interval')}"),
                Query("objective", "vector($objective)"),
            ),
            width=12,
            lowest=None,
            highest=1,
        ),
        Panel(
            "Answers in time, over time",
            "Share of the calls of Reason that ended within the time chosen, interval by interval.",
            "percentunit",
            (Query("within $latency_s s", _share_in_time("$__rate_interval")),),
            width=12,
            highest=1,
        ),
    ),
)

_TRAFFIC = Row(
    "Traffic and latency",
    (
        Panel(
            "Calls by method",
            "Calls that ended, per second.",
            "reqps",
            (
                Query(
                    "{{method}}",
                    "sum by (method) (rate(nesycd_requests_total{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Calls that failed, by code",
            "Calls per second that ended with a status other than OK. docs/errors.md says when "
            "each comes and what to do.",
            "reqps",
            (
                Query(
                    "{{code}}",
                    'sum by (code) (rate(nesycd_requests_total{@, code!="OK"}[$__rate_interval]))',
                ),
            ),
        ),
        Panel(
            "Time to the first text",
            "From the arrival of a ReasonStream call to its first piece of text, at the gateway.",
            "s",
            quantiles("nesycd_time_to_first_text_seconds"),
        ),
        Panel(
            "Latency of Reason",
            "From a call's arrival at the gateway to its end, all codes. With tracing on, the "
            "points are traces.",
            "s",
            quantiles("nesycd_request_duration_seconds", labels='method="Reason"'),
            width=12,
            exemplars=True,
        ),
        Panel(
            "Latency of ReasonStream",
            "From a call's arrival at the gateway to its last message, all codes.",
            "s",
            quantiles("nesycd_request_duration_seconds", labels='method="ReasonStream"'),
            width=12,
            exemplars=True,
        ),
    ),
)

_SATURATION = Row(
    "Saturation",
    (
        Panel(
            "In flight by gateway",
            "Calls being answered now. The gateways should share them evenly.",
            "short",
            (Query("{{instance}}", "sum by (instance) (nesycd_requests_in_flight{@})"),),
        ),
        Panel(
            "Calls refused for overload",
            "Share of the questions that were refused because a queue was full. Above zero for "
            "long: more replicas.",
            "percentunit",
            (
                Query(
                    "refused",
                    "(sum(rate(nesycd_requests_total"
                    f'{{@, {_ASKED}, code="RESOURCE_EXHAUSTED"}}[$__rate_interval])) or vector(0))'
                    f" / sum(rate(nesycd_requests_total{{@, {_ASKED}}}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Requests at the replicas",
            "What each part of the service works on now, and what waits for a free replica.",
            "short",
            (
                Query(
                    "{{deployment}} at work",
                    "sum by (deployment) (ray_serve_replica_processing_queries{@})",
                ),
                Query(
                    "{{deployment}} waiting",
                    "sum by (deployment) (ray_serve_deployment_queued_queries{@})",
                ),
            ),
        ),
        Panel(
            "Healthy replicas",
            "Replicas of each part that pass their health check.",
            "short",
            (
                Query(
                    "{{deployment}}",
                    "sum by (deployment) (ray_serve_deployment_replica_healthy{@})",
                ),
            ),
        ),
        Panel(
            "Processors of the Ray nodes",
            "Use of each node's processors. The student is slow, not broken, where this is full.",
            "percent",
            (Query("{{instance}}", "max by (instance) (ray_node_cpu_utilization{@})"),),
            highest=100,
        ),
        Panel(
            "Memory of the Ray nodes",
            "Share of each node's memory in use.",
            "percentunit",
            (
                Query(
                    "{{instance}}",
                    "max by (instance) (ray_node_mem_used{@})"
                    " / max by (instance) (ray_node_mem_total{@})",
                ),
            ),
            highest=1,
        ),
    ),
)

_SERVED = Row(
    "What is served",
    (
        Panel(
            "Version",
            "Version of the gateways. Two at once while an upgrade runs.",
            "short",
            (Query("{{version}}", "count by (version) (nesycd_build_info{@})"),),
            kind="stat",
            width=6,
            shows_legend=True,
        ),
        Panel(
            "Knowledge release",
            "The active release, as the gateways last heard of it.",
            "short",
            (Query("{{release}}", "count by (release) (nesycd_kb_release_info{@} == 1)"),),
            kind="stat",
            width=6,
            shows_legend=True,
        ),
        Panel(
            "Age of the knowledge release",
            "Time since the gateways first heard of the active release; a gateway that restarts "
            "hears of it anew, so the oldest one counts.",
            "s",
            (Query("age", "time() - min(nesycd_kb_release_activated_timestamp_seconds{@})"),),
            kind="stat",
            width=6,
        ),
        Panel(
            "Certificate ends in",
            "Time until the first of the gateways' certificates ends. No data without TLS.",
            "s",
            (Query("left", "min(nesycd_certificate_expiry_timestamp_seconds{@}) - time()"),),
            kind="stat",
            width=6,
        ),
        answers_by_adapter(width=12),
        degraded_by_cause(width=12),
    ),
)

OVERVIEW = Page(
    "nesycd-overview",
    "nesycd / overview",
    "Service level, latency, errors, saturation, and what is served.",
    "nesycd_requests_in_flight",
    (_SERVICE_LEVEL, _TRAFFIC, _SATURATION, _SERVED),
    choices=(
        ("objective", "Objective", ("0.995", "0.99", "0.999")),
        # Bounds of the histogram's buckets, as they are exposed.
        ("latency_s", "In time (s)", ("30.0", "1.0", "2.5", "5.0", "10.0", "60.0")),
    ),
)
