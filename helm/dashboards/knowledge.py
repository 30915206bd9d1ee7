"""Knowledge: how fast and how well the knowledge base answers, what it holds, who edits it."""

from __future__ import annotations

from helm.dashboards.grafana import Page, Panel, Query, Row, quantiles

_EDITING = 'method!~"Reason|ReasonStream|Describe|ListAdapters|LoadAdapter|UnloadAdapter"'
_KNOWLEDGE = 'deployment="KnowledgeBase"'

_LOOKUPS = Row(
    "Lookups",
    (
        Panel(
            "Latency of a lookup",
            "Inside a knowledge-base replica: embedding the question, both searches, the graph.",
            "s",
            quantiles("ray_nesycd_knowledge_lookup_seconds"),
        ),
        Panel(
            "Lookups per second",
            "Of all knowledge-base replicas together.",
            "ops",
            (
                Query(
                    "lookups",
                    "sum(rate(ray_nesycd_knowledge_lookup_seconds_count{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Lookups that failed",
            "Per second, by cause. Answers go on without knowledge.",
            "ops",
            (
                Query(
                    "{{cause}}",
                    "sum by (cause) "
                    "(rate(ray_nesycd_knowledge_lookup_failures_total{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "As the reasoner sees it",
            "The stage `retrieve` of answers that used the lookup, with the way to the replica.",
            "s",
            quantiles("nesycd_stage_duration_seconds", labels='stage="retrieve"'),
        ),
        Panel(
            "At work and waiting",
            "Calls at the knowledge-base replicas, and those that wait for one.",
            "short",
            (
                Query("at work", f"sum(ray_serve_replica_processing_queries{{@, {_KNOWLEDGE}}})"),
                Query("waiting", f"sum(ray_serve_deployment_queued_queries{{@, {_KNOWLEDGE}}})"),
            ),
        ),
        Panel(
            "Connections to Neo4j",
            "In use and idle, all replicas. All in use and none idle: raise "
            "NESYCD_KNOWLEDGE__NEO4J_CONNECTIONS. No data with the embedded store.",
            "short",
            (Query("{{state}}", "sum by (state) (ray_nesycd_knowledge_connections{@})"),),
        ),
    ),
)

_RELEASES = Row(
    "Releases",
    (
        Panel(
            "Active release",
            "As the gateways last heard of it.",
            "short",
            (Query("{{release}}", "count by (release) (nesycd_kb_release_info{@} == 1)"),),
            kind="stat",
            shows_legend=True,
        ),
        Panel(
            "Age of the release",
            "Time since the gateways first heard of it; a gateway that restarts hears of it anew, "
            "so the oldest one counts.",
            "s",
            (Query("age", "time() - min(nesycd_kb_release_activated_timestamp_seconds{@})"),),
            kind="stat",
        ),
        Panel(
            "Releases at the replicas",
            "How many different releases the knowledge-base replicas serve. More than one for "
            "minutes: NesycdReleaseMismatch.",
            "short",
            (
                Query(
                    "releases",
                    "count(count by (release) (ray_nesycd_knowledge_release_info{@} == 1))",
                ),
            ),
            kind="stat",
        ),
        Panel(
            "Replicas by release",
            "Knowledge-base replicas that serve each release. An activation moves all of them "
            "within seconds.",
            "short",
            (
                Query(
                    "{{release}}",
                    "count by (release) (ray_nesycd_knowledge_release_info{@} == 1)",
                ),
            ),
            width=24,
        ),
    ),
)

_EDITS = Row(
    "Editors",
    (
        Panel(
            "Edits",
            "Edits made in each interval, by call.",
            "short",
            (
                Query(
                    "{{rpc}}",
                    "sum by (rpc) "
                    "(increase(ray_nesycd_knowledge_edits_total{@}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Calls of KnowledgeService",
            "Calls per second that ended, by method, at the gateways.",
            "reqps",
            (
                Query(
                    "{{method}}",
                    "sum by (method) "
                    f"(rate(nesycd_requests_total{{@, {_EDITING}}}[$__rate_interval]))",
                ),
            ),
        ),
        Panel(
            "Calls of KnowledgeService that failed",
            "Per second, by code. ABORTED is a lost race for one entry: no fault.",
            "reqps",
            (
                Query(
                    "{{method}} {{code}}",
                    "sum by (method, code) (rate(nesycd_requests_total"
                    f'{{@, {_EDITING}, code!="OK"}}[$__rate_interval]))',
                ),
            ),
        ),
        Panel(
            "Latency of KnowledgeService",
            "From a call's arrival at the gateway to its end. CreateRelease and PreviewRelease "
            "read a whole release and take longer.",
            "s",
            quantiles("nesycd_request_duration_seconds", labels=_EDITING),
            width=12,
        ),
        Panel(
            "Answers without the knowledge base",
            "Answers per second that had to do without it, by cause.",
            "ops",
            (
                Query(
                    "{{cause}}",
                    "sum by (cause) (rate(nesycd_degraded_answers_total"
                    '{@, cause!="budget_exhausted"}[$__rate_interval]))',
                ),
            ),
            width=12,
        ),
    ),
)

KNOWLEDGE = Page(
    "nesycd-knowledge",
    "nesycd / knowledge",
    "The knowledge base: lookups, connections, releases, edits.",
    "nesycd_requests_in_flight",
    (_LOOKUPS, _RELEASES, _EDITS),
)
