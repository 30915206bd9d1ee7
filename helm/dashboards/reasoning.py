"""Reasoning: the gate, the stages of an answer, what knowledge did, what was missing."""

from __future__ import annotations

from helm.dashboards.grafana import Page, Panel, Query, Row, quantiles
from helm.dashboards.shared import degraded_by_cause

_ANSWERS = "sum(rate(nesycd_gate_decisions_total{@}[$__rate_interval]))"


def _stage(share: int) -> Query:
    rate = "sum by (le, stage) (rate(nesycd_stage_duration_seconds_bucket{@}[$__rate_interval]))"
    return Query("{{stage}}", f"histogram_quantile({share / 100}, {rate})")


_GATE = Row(
    "The gate",
    (
        Panel(
            "Gate decisions",
            "Answers per second: the direct answer stood, or the student reasoned, with knowledge "
            "or without.",
            "ops",
            (
                Query(
                    "{{decision}}",
                    "sum by (decision) (rate(nesycd_gate_decisions_total{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Share of each decision",
            "A direct share that falls means harder questions, or a student that has become "
            "unsure: compare with the confidence.",
            "percentunit",
            (
                Query(
                    "{{decision}}",
                    "sum by (decision) (rate(nesycd_gate_decisions_total{@}[$__rate_interval]))"
                    f" / scalar({_ANSWERS})",
                ),
            ),
            highest=1,
        ),
        Panel(
            "Confidence, quartiles",
            "Confidence of the direct answers. The gate's threshold is "
            "NESYCD_REASONER__GATE_THRESHOLD.",
            "percentunit",
            tuple(
                Query(
                    f"p{share}",
                    f"histogram_quantile({share / 100}, sum by (le) "
                    "(rate(nesycd_confidence_bucket{@}[$__rate_interval])))",
                )
                for share in (25, 50, 75)
            ),
            highest=1,
        ),
        Panel(
            "Confidence",
            "How many direct answers fell into each tenth of the confidence. Two heaps, one low "
            "and one high, are what the gate wants to see.",
            "percentunit",
            (
                Query(
                    "{{le}}",
                    "sum by (le) (increase(nesycd_confidence_bucket{@}[$__rate_interval]))",
                ),
            ),
            kind="heatmap",
            width=24,
        ),
    ),
)

_STAGES = Row(
    "Stages of an answer",
    (
        Panel(
            "Stages, median",
            "Time spent in each stage that was entered. `direct` and `retrieve` run side by side.",
            "s",
            (_stage(50),),
            width=12,
        ),
        Panel(
            "Stages, 95th percentile",
            "The slow end of each stage.",
            "s",
            (_stage(95),),
            width=12,
        ),
        Panel(
            "Whole answer",
            "The stage `total`: an answer's time inside the reasoner, without the gateway.",
            "s",
            quantiles("nesycd_stage_duration_seconds", labels='stage="total"'),
            width=12,
        ),
        Panel(
            "Tokens per answer",
            "Tokens the student read and wrote, per answer, over all its passes.",
            "short",
            (
                Query(
                    "{{kind}}",
                    "sum by (kind) (rate(nesycd_tokens_total{@}[$__rate_interval]))"
                    f" / scalar({_ANSWERS})",
                ),
            ),
            width=12,
        ),
    ),
)

_RETRIEVAL = Row(
    "Use of knowledge",
    (
        Panel(
            "Answers with knowledge",
            "Share of the reasoned answers that had knowledge before them. Low: nothing found, or "
            "the knowledge base is down.",
            "percentunit",
            (
                Query(
                    "with knowledge",
                    "sum(rate(nesycd_gate_decisions_total"
                    '{@, decision="reason_with_knowledge"}[$__rate_interval]))'
                    " / sum(rate(nesycd_gate_decisions_total"
                    '{@, decision=~"reason_.*"}[$__rate_interval]))',
                ),
            ),
            highest=1,
        ),
        Panel(
            "Entries per answer",
            "Mean number of knowledge entries put before the student, over all answers.",
            "short",
            (
                Query(
                    "entries",
                    "sum(rate(nesycd_knowledge_entries_sum{@}[$__rate_interval]))"
                    " / sum(rate(nesycd_knowledge_entries_count{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Entries by kind",
            "Notes, rules and facts put before the student, per second.",
            "ops",
            (
                Query(
                    "{{kind}}",
                    "sum by (kind) (rate(nesycd_retrieved_entries_total{@}[$__rate_interval]))",
                ),
            ),
        ),
    ),
)

_MISSING = Row(
    "What was missing",
    (
        degraded_by_cause(width=8),
        Panel(
            "Share of degraded answers",
            "Above a few per cent the alert NesycdKnowledgeDown is near.",
            "percentunit",
            (
                Query(
                    "degraded",
                    f"sum(rate(nesycd_degraded_answers_total{{@}}[$__rate_interval])) / {_ANSWERS}",
                ),
            ),
            highest=1,
        ),
        Panel(
            "Share of unparsed answers",
            "Answers in which no answer could be read: the student ended without one.",
            "percentunit",
            (
                Query(
                    "unparsed",
                    f"sum(rate(nesycd_unparsed_answers_total{{@}}[$__rate_interval])) / {_ANSWERS}",
                ),
            ),
            highest=1,
        ),
    ),
)

REASONING = Page(
    "nesycd-reasoning",
    "nesycd / reasoning",
    "The confidence gate, the stages of an answer, use of knowledge, degraded answers.",
    "nesycd_gate_decisions_total",
    (_GATE, _STAGES, _RETRIEVAL, _MISSING),
)
