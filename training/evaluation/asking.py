"""Has named systems answer questions, through the pipeline that serves; what is done is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from services.common.errors import ConfigurationError
from services.common.records import RetrievalMode
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from training.evaluation.dumps import Section, without
from training.evaluation.score import Answered
from training.evaluation.systems import PAPER_THRESHOLD, SYSTEMS, Gate, Role, Variant
from training.inference import finish_rows
from training.progress import Progress
from training.row_file import RowFile, read_rows
from training.rows import Attempt, Question
from training.worker import RayCluster

if TYPE_CHECKING:
    from training.answering import Answerer, System
    from training.knowledge_bases import KnowledgeSpec

_DROPPED: Mapping[Variant, Section] = {
    Variant.WITHOUT_SUMMARY: Section.SUMMARY,
    Variant.WITHOUT_SUPPLEMENT: Section.SUPPLEMENT,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What systems are made of.

    Attributes:
        student: engine and model; its adapter folder holds those that `adapters` names.
        reasoner: the pipeline; the threshold is `threshold`.
        knowledge: the embedder, and the weights of the search.
        scratch: folder for dumps that ablations need.
        max_new_tokens: per answer.
        threshold: of the gate, for adaptive systems.
        dump: folder of the knowledge; None where no system needs any.
        adapters: exact reference by role, where they are called otherwise than in a run.
    """

    student: StudentSettings
    reasoner: ReasonerSettings
    knowledge: KnowledgeSettings
    scratch: Path
    max_new_tokens: int
    threshold: float
    dump: Path | None = None
    adapters: Mapping[Role, str] = field(default_factory=dict)

    def system(self, name: str) -> System:
        """A system of the table, with this setup's adapters and threshold."""
        from training.answering import System  # noqa: PLC0415 - brings the knowledge base

        named = SYSTEMS[name]
        threshold = None
        if named.mode is RetrievalMode.ADAPTIVE:
            threshold = PAPER_THRESHOLD if named.gate is Gate.PAPER else self.threshold
        return System(
            adapter=self.adapters.get(named.role, named.role.value),
            mode=named.mode,
            top_k=named.top_k,
            knowledge=named.variant.value,
            gate_threshold=threshold,
            exclude_own=True,
        )

    def knowledge_for(self, variant: Variant) -> KnowledgeSpec:
        """A knowledge base; makes the dump of an ablation.

        Raises: ConfigurationError without a dump, or one that lacks what is ablated.
        """
        from training.knowledge_bases import KnowledgeSpec  # noqa: PLC0415 - as above

        # The hint that says the gold answer is made from the question.
        if self.dump is None and variant is not Variant.GOLD:
            raise ConfigurationError("dump: a system that uses knowledge needs the folder of one")
        dump = self.dump or Path()
        if variant in _DROPPED:
            dump = without(_DROPPED[variant], dump, self.scratch / variant.value)
        kinds = {Variant.SHUFFLED: "shuffled", Variant.GOLD: "gold"}
        settings = self.knowledge
        only = {Variant.LEXICAL: (1.0, 0.0), Variant.VECTOR: (0.0, 1.0)}
        lexical, vector = only.get(variant, (settings.lexical_weight, settings.vector_weight))
        return KnowledgeSpec.model_validate(
            {
                "dump": dump,
                "lexical_weight": lexical,
                "vector_weight": vector,
                "max_related": settings.max_related,
                "kind": kinds.get(variant, "search"),
            }
        )


def named_systems(names: Sequence[str], setup: Setup) -> dict[str, System]:
    """Systems of the table by name."""
    return {name: setup.system(name) for name in names}


def ask(
    systems: Mapping[str, System],
    questions: Sequence[Question],
    setup: Setup,
    path: Path,
    *,
    in_flight: int,
    progress: Progress,
    cluster: RayCluster | None = None,
) -> dict[str, list[Answered]]:
    """Has every system answer every question.

    Args:
        systems: by name.
        questions: with different keys.
        setup: what they are made of.
        path: file of attempts; those that it holds are not made again.
        in_flight: most questions at a time, per process.
        progress: shows how far it is.
        cluster: of a Ray cluster that questions are spread over; None for this process.

    Returns: by system, in the order of the questions.

    Raises:
        ConfigurationError: attempts failed, so there is no result yet; running it again tries
            those. Also what the dumps, the model or an adapter are refused for.
        StudentUnavailableError: the engine died.
    """
    from training.answering import Asked  # noqa: PLC0415 - as above

    asked = {
        f"{name}/{question.key}": Asked(
            key=f"{name}/{question.key}", system=name, question=question
        )
        for name in systems
        for question in questions
    }
    with RowFile(path, Attempt) as rows:
        finish_rows(
            list(asked.values()),
            rows,
            lambda: _answerer(systems, setup),
            what="answers",
            in_flight=in_flight,
            progress=progress,
            cluster=cluster,
        )
    found = {row.key: row for row in read_rows(path, Attempt) if row.key in asked}
    _refuse_failed(found, path)
    return {
        name: [Answered(question, found[f"{name}/{question.key}"]) for question in questions]
        for name in systems
    }


def _answerer(systems: Mapping[str, System], setup: Setup) -> Answerer:
    from training.answering import Answerer  # noqa: PLC0415 - as above

    variants = {Variant(system.knowledge) for system in systems.values()}
    return Answerer(
        student=setup.student,
        reasoner=setup.reasoner,
        embedder=setup.knowledge,
        systems=systems,
        knowledge={
            variant.value: setup.knowledge_for(variant)
            for variant in sorted(variants - {Variant.NONE})
        },
        max_new_tokens=setup.max_new_tokens,
    )


def _refuse_failed(attempts: Mapping[str, Attempt], path: Path) -> None:
    failed = [attempt for attempt in attempts.values() if attempt.error]
    if failed:
        raise ConfigurationError(
            f"{path}: {len(failed)} of {len(attempts)} answers failed, first {failed[0].key}: "
            f"{failed[0].error}. The others are kept; the same command tries these again."
        )
