"""PromQL as the dashboards and alerts write it: what it names, and how it is asked."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import promql_parser

ROOT = Path(__file__).parents[1]

FOREIGN_METRICS = frozenset(
    {
        # Ray Serve and Ray's own, as 2.60 exports them.
        "ray_serve_autoscaling_target_replicas",
        "ray_serve_deployment_queued_queries",
        "ray_serve_deployment_replica_healthy",
        "ray_serve_replica_processing_queries",
        "ray_node_cpu_utilization",
        "ray_node_mem_total",
        "ray_node_mem_used",
        # vLLM's, as 0.32 exports them through Ray.
        "ray_vllm_e2e_request_latency_seconds",
        "ray_vllm_generation_tokens_total",
        "ray_vllm_inter_token_latency_seconds",
        "ray_vllm_kv_cache_usage_perc",
        "ray_vllm_lora_requests_info",
        "ray_vllm_num_preemptions_total",
        "ray_vllm_num_requests_running",
        "ray_vllm_num_requests_waiting",
        "ray_vllm_prefix_cache_hits_total",
        "ray_vllm_prefix_cache_queries_total",
        "ray_vllm_prompt_tokens_total",
        "ray_vllm_request_decode_time_seconds",
        "ray_vllm_request_prefill_time_seconds",
        "ray_vllm_request_queue_time_seconds",
        "ray_vllm_request_success_total",
        "ray_vllm_request_time_per_output_token_seconds",
        "ray_vllm_time_to_first_token_seconds",
    }
)
"""What Ray and vLLM export beside our own metrics; a run against both keeps it true."""

AGREED_METRICS = frozenset(
    {
        "nesycd_answers_total",
        "nesycd_build_info",
        "nesycd_certificate_expiry_timestamp_seconds",
        "nesycd_kb_release_activated_timestamp_seconds",
        "nesycd_kb_release_info",
        "nesycd_retrieved_entries_total",
        "ray_nesycd_knowledge_connections",
        "ray_nesycd_knowledge_edits_total",
        "ray_nesycd_knowledge_lookup_failures_total",
        "ray_nesycd_knowledge_lookup_seconds",
        "ray_nesycd_knowledge_release_info",
        "ray_nesycd_student_adapter_loads_total",
        "ray_nesycd_student_in_flight",
        "ray_nesycd_student_refused_total",
    }
)
"""Ours, until docs/metrics.md lists them."""

_HISTOGRAM_SERIES = ("_bucket", "_count", "_sum")


def metrics_of(expression: str) -> set[str]:
    """The metrics an expression names, a histogram by its own name.

    Raises: ValueError when the expression does not parse.
    """
    named: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            named.add(node.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return {_family(name) for name in named}


def bare_series_of(expression: str) -> set[str]:
    """The series an expression reads as they stand, not over a window of time."""
    read: Counter[str] = Counter()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            read[node.name] += 1
        if isinstance(node, promql_parser.MatrixSelector):
            read[node.vector_selector.name] -= 1  # visited once more, as what is inside

    promql_parser.walk(promql_parser.parse(expression), visit)
    return {name for name, times in read.items() if times}


def _family(series: str) -> str:
    for suffix in _HISTOGRAM_SERIES:
        # `nesycd_tokens_sum` would be a counter's name; no metric of ours ends so.
        if series.endswith(suffix):
            return series.removesuffix(suffix)
    return series


def with_values(expression: str, *, window: str, choices: dict[str, str]) -> str:
    """A panel's expression as Grafana asks it, with "All" chosen for namespace and release."""
    values = {"__rate_interval": window, "__range": window, "namespace": ".*", "release": ".*"}
    for name, value in (values | choices).items():
        expression = re.sub(rf"\${name}\b", value, expression)
    return expression


def documented_metrics() -> set[str]:
    """The names in the tables of docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
