"""The records that pass between parts: frozen, free of any framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


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
class Rule:
    """A logic rule; it is executed, and shown to people and students as it is written.

    Attributes:
        text: one rule of the language in services/knowledge/rules, such as
            "grandparent(X, Z) :- parent(X, Y), parent(Y, Z)."
        confidence: how sure its author is that it holds, above 0, at most 1.
    """

    text: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Fact:
    """An edge of the knowledge graph. `relation` is in snake_case and reads as a verb phrase."""

    subject: str
    relation: str
    object: str

    @property
    def text(self) -> str:
        """The fact in words, such as "Paris is capital of France"."""
        return f"{self.subject} {self.relation.replace('_', ' ')} {self.object}"


Body: TypeAlias = Note | Rule | Fact

_KINDS: dict[type[Body], EntryKind] = {
    Note: EntryKind.NOTE,
    Rule: EntryKind.RULE,
    Fact: EntryKind.FACT,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision of one knowledge entry.

    Attributes:
        id: stable across revisions, 1 to 128 characters.
        revision: counts from 1.
        task: the task it belongs to, for the task filter; "" for any.
        question: the question it was made for; "" where a rule or fact has none.
        body: the knowledge itself.
        source: id of the item it was made from, for `exclude_source`; "" if none.
        provenance: who or what made it, for instance "curated".
        concepts: names of what it is about, beyond those a rule or fact names itself; they
            join it to the graph.
    """

    id: str
    revision: int
    task: str
    question: str
    body: Body
    source: str
    provenance: str
    concepts: tuple[str, ...] = ()

    @property
    def kind(self) -> EntryKind:
        """Note, rule or fact."""
        return _KINDS[type(self.body)]

    @property
    def text(self) -> str:
        """The entry as the student reads it."""
        return self.body.text

    @property
    def searched_text(self) -> str:
        """What retrieval compares a question with: the entry's question, else its text."""
        return self.question or self.text


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An entry found, with its fused score (> 0) and its rank (from 1) in each leg.

    One reached through the graph has score 0 and its rank as "graph".
    """

    entry: Entry
    score: float
    leg_ranks: dict[str, int]


@dataclass(frozen=True, slots=True)
class ProofStep:
    """A fact or a rule that a conclusion rests on.

    Attributes:
        text: the fact in words, or the rule as written.
        entry_id: where it stands; "" for a value read from the question.
        revision: of that entry; 0 for a value read from the question.
    """

    text: str
    entry_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the rules say about a question, in words, with the proof.

    `confidence` is the product of the confidences of the rules in the proof.
    """

    text: str
    confidence: float
    proof: tuple[ProofStep, ...]


class EntryStatus(StrEnum):
    """Where an entry stands in its life. Releases hold what was accepted."""

    DRAFT = "draft"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETIRED = "retired"


class Action(StrEnum):
    """What made a revision."""

    LOADED = "loaded"
    CREATED = "created"
    UPDATED = "updated"
    REVIEWED = "reviewed"
    RETIRED = "retired"
    REVERTED = "reverted"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who changes something, and why; `batch` names changes that belong together, "" for none."""

    actor: str
    reason: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One step in the life of an entry. Every change makes one, and none is ever changed.

    Attributes:
        entry: the content after the change; `entry.revision` counts the steps.
        status: after the change.
        action: what the change was.
        author: who, why, and in which batch. Of a loaded entry: the release's provenance, and
            its name as the reason.
        at: when, in seconds since 1970.
        redirect_to: id of the entry it was merged into; "" if it was not.
    """

    entry: Entry
    status: EntryStatus
    action: Action
    author: Authorship
    at: float
    redirect_to: str = ""


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
    conclusions: tuple[Conclusion, ...] = ()
    degraded_cause: DegradedCause | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    request_id: str = ""
    truncated: bool = False
