from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetrievalMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRIEVAL_MODE_UNSPECIFIED: _ClassVar[RetrievalMode]
    RETRIEVAL_MODE_ADAPTIVE: _ClassVar[RetrievalMode]
    RETRIEVAL_MODE_ALWAYS: _ClassVar[RetrievalMode]
    RETRIEVAL_MODE_NEVER: _ClassVar[RetrievalMode]

class GateDecision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_DECISION_UNSPECIFIED: _ClassVar[GateDecision]
    GATE_DECISION_DIRECT: _ClassVar[GateDecision]
    GATE_DECISION_REASON_WITH_KNOWLEDGE: _ClassVar[GateDecision]
    GATE_DECISION_REASON_WITHOUT_KNOWLEDGE: _ClassVar[GateDecision]

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_NOTE: _ClassVar[EntryKind]
    ENTRY_KIND_RULE: _ClassVar[EntryKind]
    ENTRY_KIND_FACT: _ClassVar[EntryKind]

class DegradedCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEGRADED_CAUSE_UNSPECIFIED: _ClassVar[DegradedCause]
    DEGRADED_CAUSE_KNOWLEDGE_UNAVAILABLE: _ClassVar[DegradedCause]
    DEGRADED_CAUSE_KNOWLEDGE_TIMEOUT: _ClassVar[DegradedCause]
    DEGRADED_CAUSE_NO_ACTIVE_RELEASE: _ClassVar[DegradedCause]
    DEGRADED_CAUSE_BUDGET_EXHAUSTED: _ClassVar[DegradedCause]
RETRIEVAL_MODE_UNSPECIFIED: RetrievalMode
RETRIEVAL_MODE_ADAPTIVE: RetrievalMode
RETRIEVAL_MODE_ALWAYS: RetrievalMode
RETRIEVAL_MODE_NEVER: RetrievalMode
GATE_DECISION_UNSPECIFIED: GateDecision
GATE_DECISION_DIRECT: GateDecision
GATE_DECISION_REASON_WITH_KNOWLEDGE: GateDecision
GATE_DECISION_REASON_WITHOUT_KNOWLEDGE: GateDecision
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_NOTE: EntryKind
ENTRY_KIND_RULE: EntryKind
ENTRY_KIND_FACT: EntryKind
DEGRADED_CAUSE_UNSPECIFIED: DegradedCause
DEGRADED_CAUSE_KNOWLEDGE_UNAVAILABLE: DegradedCause
DEGRADED_CAUSE_KNOWLEDGE_TIMEOUT: DegradedCause
DEGRADED_CAUSE_NO_ACTIVE_RELEASE: DegradedCause
DEGRADED_CAUSE_BUDGET_EXHAUSTED: DegradedCause

class ReasonRequest(_message.Message):
    __slots__ = ("question", "task", "adapter", "retrieval_mode", "max_new_tokens", "top_k", "budget_ms")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_MODE_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    question: str
    task: str
    adapter: str
    retrieval_mode: RetrievalMode
    max_new_tokens: int
    top_k: int
    budget_ms: int
    def __init__(self, question: _Optional[str] = ..., task: _Optional[str] = ..., adapter: _Optional[str] = ..., retrieval_mode: _Optional[_Union[RetrievalMode, str]] = ..., max_new_tokens: _Optional[int] = ..., top_k: _Optional[int] = ..., budget_ms: _Optional[int] = ...) -> None: ...

class Gate(_message.Message):
    __slots__ = ("decision", "reason", "threshold")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    decision: GateDecision
    reason: str
    threshold: float
    def __init__(self, decision: _Optional[_Union[GateDecision, str]] = ..., reason: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class KnowledgeUsed(_message.Message):
    __slots__ = ("entry_id", "revision", "kind", "text", "score", "leg_ranks", "question")
    class LegRanksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LEG_RANKS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    revision: int
    kind: EntryKind
    text: str
    score: float
    leg_ranks: _containers.ScalarMap[str, int]
    question: str
    def __init__(self, entry_id: _Optional[str] = ..., revision: _Optional[int] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., text: _Optional[str] = ..., score: _Optional[float] = ..., leg_ranks: _Optional[_Mapping[str, int]] = ..., question: _Optional[str] = ...) -> None: ...

class ProofStep(_message.Message):
    __slots__ = ("text", "entry_id", "revision")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    text: str
    entry_id: str
    revision: int
    def __init__(self, text: _Optional[str] = ..., entry_id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Conclusion(_message.Message):
    __slots__ = ("text", "confidence", "proof")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    proof: _containers.RepeatedCompositeFieldContainer[ProofStep]
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ..., proof: _Optional[_Iterable[_Union[ProofStep, _Mapping]]] = ...) -> None: ...

class TokenCounts(_message.Message):
    __slots__ = ("prompt", "completion")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_FIELD_NUMBER: _ClassVar[int]
    prompt: int
    completion: int
    def __init__(self, prompt: _Optional[int] = ..., completion: _Optional[int] = ...) -> None: ...

class StageDuration(_message.Message):
    __slots__ = ("stage", "seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    seconds: float
    def __init__(self, stage: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class ReasonResponse(_message.Message):
    __slots__ = ("answer", "rationale", "confidence", "gate", "knowledge", "degraded", "degraded_cause", "model", "adapter", "kb_release", "tokens", "stages", "request_id", "truncated", "conclusions")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    RATIONALE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_CAUSE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    KB_RELEASE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    CONCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    answer: str
    rationale: str
    confidence: float
    gate: Gate
    knowledge: _containers.RepeatedCompositeFieldContainer[KnowledgeUsed]
    degraded: bool
    degraded_cause: DegradedCause
    model: str
    adapter: str
    kb_release: str
    tokens: TokenCounts
    stages: _containers.RepeatedCompositeFieldContainer[StageDuration]
    request_id: str
    truncated: bool
    conclusions: _containers.RepeatedCompositeFieldContainer[Conclusion]
    def __init__(self, answer: _Optional[str] = ..., rationale: _Optional[str] = ..., confidence: _Optional[float] = ..., gate: _Optional[_Union[Gate, _Mapping]] = ..., knowledge: _Optional[_Iterable[_Union[KnowledgeUsed, _Mapping]]] = ..., degraded: _Optional[bool] = ..., degraded_cause: _Optional[_Union[DegradedCause, str]] = ..., model: _Optional[str] = ..., adapter: _Optional[str] = ..., kb_release: _Optional[str] = ..., tokens: _Optional[_Union[TokenCounts, _Mapping]] = ..., stages: _Optional[_Iterable[_Union[StageDuration, _Mapping]]] = ..., request_id: _Optional[str] = ..., truncated: _Optional[bool] = ..., conclusions: _Optional[_Iterable[_Union[Conclusion, _Mapping]]] = ...) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ReasonStreamResponse(_message.Message):
    __slots__ = ("delta", "response")
    DELTA_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    delta: TextDelta
    response: ReasonResponse
    def __init__(self, delta: _Optional[_Union[TextDelta, _Mapping]] = ..., response: _Optional[_Union[ReasonResponse, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("name", "version", "rank", "loaded", "refusal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    rank: int
    loaded: bool
    refusal: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., rank: _Optional[int] = ..., loaded: _Optional[bool] = ..., refusal: _Optional[str] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("version", "model", "default_adapter", "adapters", "kb_release", "kb_entries", "knowledge_ready", "gate_threshold", "max_question_chars", "max_new_tokens_limit", "top_k_limit")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    KB_RELEASE_FIELD_NUMBER: _ClassVar[int]
    KB_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_READY_FIELD_NUMBER: _ClassVar[int]
    GATE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_QUESTION_CHARS_FIELD_NUMBER: _ClassVar[int]
    MAX_NEW_TOKENS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_LIMIT_FIELD_NUMBER: _ClassVar[int]
    version: str
    model: str
    default_adapter: str
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    kb_release: str
    kb_entries: int
    knowledge_ready: bool
    gate_threshold: float
    max_question_chars: int
    max_new_tokens_limit: int
    top_k_limit: int
    def __init__(self, version: _Optional[str] = ..., model: _Optional[str] = ..., default_adapter: _Optional[str] = ..., adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ..., kb_release: _Optional[str] = ..., kb_entries: _Optional[int] = ..., knowledge_ready: _Optional[bool] = ..., gate_threshold: _Optional[float] = ..., max_question_chars: _Optional[int] = ..., max_new_tokens_limit: _Optional[int] = ..., top_k_limit: _Optional[int] = ...) -> None: ...

class ListAdaptersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAdaptersResponse(_message.Message):
    __slots__ = ("adapters",)
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    def __init__(self, adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ...) -> None: ...

class LoadAdapterRequest(_message.Message):
    __slots__ = ("adapter",)
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    def __init__(self, adapter: _Optional[str] = ...) -> None: ...

class LoadAdapterResponse(_message.Message):
    __slots__ = ("adapter",)
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    adapter: Adapter
    def __init__(self, adapter: _Optional[_Union[Adapter, _Mapping]] = ...) -> None: ...

class UnloadAdapterRequest(_message.Message):
    __slots__ = ("adapter",)
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    def __init__(self, adapter: _Optional[str] = ...) -> None: ...

class UnloadAdapterResponse(_message.Message):
    __slots__ = ("adapter",)
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    adapter: Adapter
    def __init__(self, adapter: _Optional[_Union[Adapter, _Mapping]] = ...) -> None: ...
