"""When each alert fires and when it does not, as series of samples one minute apart.

A series is promtool's: `0+9x60` counts on by 9 for 60 minutes, `1x10 0x50` is 1 and then 0,
`_` is no sample. In a name, `@` stands for the labels of the one Helm release.
"""

from __future__ import annotations

from dataclasses import dataclass

LABELS = {"namespace": "prod", "app_kubernetes_io_instance": "answers"}


@dataclass(frozen=True)
class Case:
    """One alert and what it is shown.

    Attributes:
        at: when it is asked.
        value: what it says, as the description words it; "" where it says none.
            None: the alert is silent.
    """

    alert: str
    when: str
    series: dict[str, str]
    at: str
    value: str | None = None


def _calls(**per_minute: float) -> dict[str, str]:
    """Calls of Reason, by code, over ten hours."""
    return {
        f'nesycd_requests_total{{@, method="Reason", code="{code}"}}': f"0+{number}x600"
        for code, number in per_minute.items()
    }


_TURNED = 'nesycd_requests_total{@, method="Reason", code='
_DEGRADED = "nesycd_degraded_answers_total{@, cause="
_DECIDED = 'nesycd_gate_decisions_total{@, decision="direct"}'
_HEALTHY = 'ray_serve_deployment_replica_healthy{@, deployment="Student", replica='
_SERVES = "ray_nesycd_knowledge_release_info{@, replica="
_CERTIFICATE = 'nesycd_certificate_expiry_timestamp_seconds{@, instance="g1"}'
_DAY = 86400

CASES = (
    Case(
        "NesycdErrorBudgetBurnsFast",
        "a tenth of the calls fails",
        _calls(OK=90, UNAVAILABLE=6, INTERNAL=4),
        "70m",
        "10%",
    ),
    Case(
        "NesycdErrorBudgetBurnsFast",
        "one call in a hundred fails",
        _calls(OK=99, INTERNAL=1),
        "70m",
    ),
    Case(
        "NesycdErrorBudgetBurnsFast",
        "callers' own mistakes fail",
        _calls(OK=50, INVALID_ARGUMENT=40, CANCELLED=10),
        "70m",
    ),
    Case(
        "NesycdErrorBudgetBurnsFast",
        "six calls failed in an hour in which twelve were made",
        _calls(OK=0.1, UNAVAILABLE=0.1),
        "70m",
    ),
    Case(
        "NesycdErrorBudgetBurnsFast",
        "it is over since a quarter of an hour",
        {f'{_TURNED}"OK"}}': "0+90x120", f'{_TURNED}"INTERNAL"}}': "0+10x60 600x60"},
        "75m",
    ),
    Case(
        "NesycdErrorBudgetBurnsSlowly",
        "four calls in a hundred fail for hours",
        _calls(OK=96, DEADLINE_EXCEEDED=4),
        "400m",
        "4%",
    ),
    Case(
        "NesycdErrorBudgetBurnsSlowly",
        "two calls in a hundred fail",
        _calls(OK=98, INTERNAL=2),
        "400m",
    ),
    Case(
        "NesycdAnswersSlow",
        "a tenth of the answers takes longer",
        {
            'nesycd_request_duration_seconds_bucket{@, method="Reason", le="30.0"}': "0+90x60",
            'nesycd_request_duration_seconds_count{@, method="Reason"}': "0+100x60",
        },
        "50m",
        "10%",
    ),
    Case(
        "NesycdAnswersSlow",
        "three answers in a hundred take longer",
        {
            'nesycd_request_duration_seconds_bucket{@, method="Reason", le="30.0"}': "0+97x60",
            'nesycd_request_duration_seconds_count{@, method="Reason"}': "0+100x60",
        },
        "50m",
    ),
    Case(
        "NesycdGatewayGone", "the last one vanishes", {"nesycd_upstream_up{@}": "1x10"}, "25m", ""
    ),
    Case(
        "NesycdGatewayGone",
        "one of two vanishes",
        {
            'nesycd_upstream_up{@, instance="g1"}': "1x10",
            'nesycd_upstream_up{@, instance="g2"}': "1x60",
        },
        "25m",
    ),
    Case("NesycdGatewayGone", "it was removed hours ago", {"nesycd_upstream_up{@}": "1x10"}, "90m"),
    Case(
        "NesycdStudentDown",
        "no gateway gets an answer",
        {
            'nesycd_upstream_up{@, instance="g1"}': "0x10",
            'nesycd_upstream_up{@, instance="g2"}': "0x10",
            # Another release goes on: it is neither named nor an excuse.
            'nesycd_upstream_up{namespace="prod", app_kubernetes_io_instance="other"}': "1x10",
        },
        "5m",
        "",
    ),
    Case(
        "NesycdStudentDown",
        "one of two gateways still gets answers",
        {
            'nesycd_upstream_up{@, instance="g1"}': "0x10",
            'nesycd_upstream_up{@, instance="g2"}': "1x10",
        },
        "5m",
    ),
    Case(
        "NesycdStudentDown",
        "it came back within a minute",
        {"nesycd_upstream_up{@}": "1 1 0 1x10"},
        "5m",
    ),
    Case(
        "NesycdKnowledgeDown",
        "a fifth of the answers has to do without",
        {f'{_DEGRADED}"knowledge_unavailable"}}': "0+20x30", _DECIDED: "0+100x30"},
        "15m",
        "20%",
    ),
    Case(
        "NesycdKnowledgeDown",
        "answers are cut short for want of time, not of knowledge",
        {f'{_DEGRADED}"budget_exhausted"}}': "0+20x30", _DECIDED: "0+100x30"},
        "15m",
    ),
    Case(
        "NesycdKnowledgeDown",
        "a few lookups are late",
        {f'{_DEGRADED}"knowledge_timeout"}}': "0+2x30", _DECIDED: "0+100x30"},
        "15m",
    ),
    Case(
        "NesycdQueueSaturated",
        "one question in twenty is refused",
        _calls(OK=95, RESOURCE_EXHAUSTED=5),
        "30m",
        "5%",
    ),
    Case(
        "NesycdQueueSaturated",
        "one question in a thousand is refused",
        _calls(OK=999, RESOURCE_EXHAUSTED=1),
        "30m",
    ),
    Case(
        "NesycdEngineRestarts",
        "an engine dies, and the one after it",
        {f'{_HEALTHY}"a"}}': "1x10 0x50", f'{_HEALTHY}"b"}}': "_x12 1x5 0x40"},
        "40m",
        "2",
    ),
    Case(
        "NesycdEngineRestarts",
        "an engine dies once and is replaced",
        {f'{_HEALTHY}"a"}}': "1x10 0x50", f'{_HEALTHY}"b"}}': "_x12 1x40"},
        "40m",
    ),
    Case(
        "NesycdEngineRestarts",
        "replicas come and go with the load",
        {f'{_HEALTHY}"{name}"}}': f"_x{5 * place} 1x20" for place, name in enumerate("abcd")},
        "40m",
    ),
    Case(
        "NesycdReleaseMismatch",
        "two replicas serve different releases",
        {f'{_SERVES}"a", release="r1"}}': "1x30", f'{_SERVES}"b", release="r2"}}': "1x30"},
        "10m",
        "2",
    ),
    Case(
        "NesycdReleaseMismatch",
        "an activation reaches one replica a minute after the other",
        {
            f'{_SERVES}"a", release="r1"}}': "1x10 0x20",
            f'{_SERVES}"a", release="r2"}}': "0x10 1x20",
            f'{_SERVES}"b", release="r1"}}': "1x11 0x19",
            f'{_SERVES}"b", release="r2"}}': "0x11 1x19",
        },
        "20m",
    ),
    Case(
        "NesycdCertificateExpires",
        "ten days are left",
        {_CERTIFICATE: f"{10 * _DAY}x200"},
        "2h",
        "9d 22h 0m 0s",
    ),
    Case("NesycdCertificateExpires", "a month is left", {_CERTIFICATE: f"{30 * _DAY}x200"}, "2h"),
    Case(
        "NesycdCertificateExpiresNow",
        "a day is left",
        {_CERTIFICATE: f"{_DAY + 3600}x200"},
        "1h",
        "1d 0h 0m 0s",
    ),
    Case(
        "NesycdCertificateExpiresNow", "ten days are left", {_CERTIFICATE: f"{10 * _DAY}x200"}, "2h"
    ),
)
