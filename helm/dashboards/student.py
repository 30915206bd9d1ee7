"""Student: the engine's latency, throughput, cache, queue and adapters, as vLLM tells them."""

from __future__ import annotations

from helm.dashboards.grafana import Page, Panel, Query, Row, quantiles
from helm.dashboards.shared import answers_by_adapter

_STUDENT = 'deployment="Student"'

_LATENCY = Row(
    "Latency in the engine",
    (
        Panel(
            "Time to the first token",
            "From a pass's arrival in the engine to its first token. An answer has one pass or "
            "more.",
            "s",
            quantiles("ray_vllm_time_to_first_token_seconds"),
        ),
        Panel(
            "Time per output token",
            "Mean time between two tokens of one pass.",
            "s",
            quantiles("ray_vllm_request_time_per_output_token_seconds"),
        ),
        Panel(
            "Time between tokens",
            "Every single gap between two tokens, so that a stall shows.",
            "s",
            quantiles("ray_vllm_inter_token_latency_seconds"),
        ),
        Panel(
            "Whole pass",
            "From a pass's arrival in the engine to its last token.",
            "s",
            quantiles("ray_vllm_e2e_request_latency_seconds"),
        ),
        Panel(
            "Time in the queue",
            "How long a pass waited before the engine took it up.",
            "s",
            quantiles("ray_vllm_request_queue_time_seconds"),
        ),
        Panel(
            "Prefill and decode",
            "Median time for reading the prompt and for writing.",
            "s",
            tuple(
                Query(
                    stage,
                    "histogram_quantile(0.5, sum by (le) (rate("
                    f"ray_vllm_request_{stage}_time_seconds_bucket{{@}}[$__rate_interval])))",
                )
                for stage in ("prefill", "decode")
            ),
        ),
    ),
)

_THROUGHPUT = Row(
    "Throughput",
    (
        Panel(
            "Tokens",
            "Tokens read and written per second, all replicas.",
            "short",
            (
                Query("read", "sum(rate(ray_vllm_prompt_tokens_total{@}[$__rate_interval]))"),
                Query(
                    "written", "sum(rate(ray_vllm_generation_tokens_total{@}[$__rate_interval]))"
                ),
            ),
        ),
        Panel(
            "Passes by how they ended",
            "`stop`: by itself; `length`: at the token limit; `abort`: the caller went away or the "
            "time ran out; `error`: in the engine.",
            "ops",
            (
                Query(
                    "{{finished_reason}}",
                    "sum by (finished_reason) "
                    "(rate(ray_vllm_request_success_total{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Prefix cache",
            "Share of the prompt's tokens that the engine had read before.",
            "percentunit",
            (
                Query(
                    "hits",
                    "(sum(rate(ray_vllm_prefix_cache_hits_total{@}[$__rate_interval]))"
                    " or vector(0))"
                    " / sum(rate(ray_vllm_prefix_cache_queries_total{@}[$__rate_interval]))",
                ),
            ),
            highest=1,
        ),
    ),
)

_QUEUE = Row(
    "Queue and cache",
    (
        Panel(
            "Running and waiting",
            "Passes in the engines' batch, and those that wait for a place.",
            "short",
            (
                Query(
                    "running {{ReplicaId}}", "sum by (ReplicaId) (ray_vllm_num_requests_running{@})"
                ),
                Query(
                    "waiting {{ReplicaId}}", "sum by (ReplicaId) (ray_vllm_num_requests_waiting{@})"
                ),
            ),
        ),
        Panel(
            "KV cache",
            "Share of the cache in use, by replica. At 100 % passes are put back (preempted).",
            "percentunit",
            (Query("{{ReplicaId}}", "max by (ReplicaId) (ray_vllm_kv_cache_usage_perc{@})"),),
            highest=1,
        ),
        Panel(
            "Preemptions",
            "Passes per second that were put back because the cache was full, and lost their work.",
            "ops",
            (
                Query(
                    "preempted",
                    "sum(rate(ray_vllm_num_preemptions_total{@}[$__rate_interval])) or vector(0)",
                ),
            ),
        ),
        Panel(
            "Admitted by replica",
            "Passes that a student replica has admitted and not ended.",
            "short",
            (Query("{{replica}}", "sum by (replica) (ray_nesycd_student_in_flight{@})"),),
        ),
        Panel(
            "Refused by the student",
            "Passes per second that found the queue full (NESYCD_STUDENT__MAX_QUEUED).",
            "ops",
            (
                Query(
                    "refused",
                    "sum(rate(ray_nesycd_student_refused_total{@}[$__rate_interval])) or vector(0)",
                ),
            ),
        ),
        Panel(
            "Waiting for a replica",
            "Calls that Ray Serve holds until a student replica takes them.",
            "short",
            (Query("waiting", f"sum(ray_serve_deployment_queued_queries{{@, {_STUDENT}}})"),),
        ),
    ),
)

_REPLICAS = Row(
    "Replicas and adapters",
    (
        Panel(
            "Replicas",
            "Student replicas that pass their health check, and how many the autoscaler wants.",
            "short",
            (
                Query("healthy", f"sum(ray_serve_deployment_replica_healthy{{@, {_STUDENT}}})"),
                Query("wanted", f"max(ray_serve_autoscaling_target_replicas{{@, {_STUDENT}}})"),
            ),
        ),
        Panel(
            "Engines that died",
            "Student replicas, in each interval, that failed their health check; Ray Serve "
            "replaces each.",
            "short",
            (
                Query(
                    "died",
                    "sum(changes(ray_serve_deployment_replica_healthy"
                    f"{{@, {_STUDENT}}}[$__rate_interval]))",
                ),
            ),
        ),
        answers_by_adapter(width=8),
        Panel(
            "Adapters loaded into engines",
            "Loads in each interval, by adapter, over all replicas. Many: more adapters in use "
            "than NESYCD_STUDENT__MAX_LORAS has room for.",
            "short",
            (
                Query(
                    "{{adapter}}",
                    "sum by (adapter) "
                    "(increase(ray_nesycd_student_adapter_loads_total{@}[$__rate_interval]))",
                ),
            ),
            width=12,
        ),
        Panel(
            "Adapters at work in the engine",
            "Adapters of the running and of the waiting passes, as the engine last told.",
            "dateTimeFromNow",
            (
                Query(
                    "running {{running_lora_adapters}} waiting {{waiting_lora_adapters}}",
                    "1000 * max by (running_lora_adapters, waiting_lora_adapters) "
                    "(ray_vllm_lora_requests_info{@})",
                ),
            ),
            width=12,
        ),
    ),
)

STUDENT = Page(
    "nesycd-student",
    "nesycd / student",
    "The student's engine: latency, throughput, queue, cache, replicas, adapters.",
    "ray_serve_deployment_replica_healthy",
    (_LATENCY, _THROUGHPUT, _QUEUE, _REPLICAS),
)
