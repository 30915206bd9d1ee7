"""The records that pass between parts: frozen, free of any framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class RetrievalMode(StrEnum):
    """When knowledge is looked up and used."""

    ADAPTIVE = "adaptive"
    ALWAYS = "always"
    NEVER = "never"


class GateDecision(StrEnum):
    """What became of the direct answer."""

    DIRECT = "direct"
    REASON_WITH_KNOWLEDGE = "reason_with_knowledge"
    REASON_WITHOUT_KNOWLEDGE = "reason_without_knowledge"


class DegradedCause(StrEnum):
    """Why an answer is less than it should be."""

    KNOWLEDGE_UNAVAILABLE = "knowledge_unavailable"
    KNOWLEDGE_TIMEOUT = "knowledge_timeout"
    NO_ACTIVE_RELEASE = "no_active_release"
    BUDGET_EXHAUSTED = "budget_exhausted"


class EntryKind(StrEnum):
    """What kind of knowledge an entry is."""

    NOTE = "note"
    RULE = "rule"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Note:
    """Specialised knowledge in words (NesyCD, Symbolic Knowledge Distillation).

    Attributes:
        learning_summary: how to think about such questions, what to watch for.
        supplementary_knowledge: facts, formulas, definitions, techniques.
    """

    learning_summary: tuple[str, ...]
    supplementary_knowledge: tuple[str, ...]

    @property
    def text(self) -> str:
        """The note as the student reads it."""
        parts = []
        if self.learning_summary:
            parts.append("Learning summary:\n" + _bullets(self.learning_summary))
        if self.supplementary_knowledge:
            parts.append("Supplementary knowledge:\n" + _bullets(self.supplementary_knowledge))
        return "\n".join(parts)


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision of one knowledge entry.

    Attributes:
        id: stable across revisions, 1 to 128 characters.
        revision: counts from 1.
        task: the task it belongs to, for the task filter; "" for any.
        question: the question it was made for; what retrieval compares with.
        body: the knowledge itself.
        source: id of the item it was made from, for `exclude_source`; "" if none.
        provenance: who or what made it, for instance "curated".
    """

    id: str
    revision: int
    kind: EntryKind
    task: str
    question: str
    body: Note
    source: str
    provenance: str

    @property
    def text(self) -> str:
        """The entry as the student reads it."""
        return self.body.text


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An entry found, with its fused score (> 0) and its rank (from 1) in each leg."""

    entry: Entry
    score: float
    leg_ranks: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReasonRequest:
    """A validated question. `budget_s` is the time left for the whole answer, in seconds."""

    question: str
    task: str = ""
    adapter: str = ""
    mode: RetrievalMode = RetrievalMode.ADAPTIVE
    max_new_tokens: int = 256
    top_k: int = 1
    budget_s: float = 120.0
    exclude_source: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """The confidence gate's verdict, with its reason in words."""

    decision: GateDecision
    reason: str
    threshold: float


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens read and written, over all passes."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class ReasonResponse:
    """A finished answer; the fields are those of the message in reasoning.proto."""

    answer: str
    rationale: str
    confidence: float | None
    gate: Gate
    model: str
    adapter: str
    kb_release: str
    tokens: TokenCounts
    knowledge: tuple[Retrieved, ...] = ()
    degraded_cause: DegradedCause | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    request_id: str = ""
    truncated: bool = False
