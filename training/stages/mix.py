"""Stage 4a of NesyCD: the examples of the three training tasks, for S_E."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common import prompts
from services.common.errors import ConfigurationError
from services.common.records import ReasonRequest
from training.config import Config
from training.examples import chain_of_thought, direct_answer, with_knowledge
from training.manifest import Value
from training.row_file import read_rows, write_rows
from training.rows import Example, Question, Rationale, Task
from training.stage import Estimate, Job

EXAMPLES = "examples.jsonl"
_KNOWLEDGE = {"embedder", "lexical_weight", "vector_weight", "max_related"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a question finds, its own entries left out: texts for the prompt, and their ids."""

    texts: tuple[str, ...]
    entries: tuple[str, ...]


class Mix:
    """AD, AP and DC of every question that has a kept rationale."""

    name = "mix"
    needs = ("data", "filter", "check-knowledge")

    def settings(self, config: Config) -> dict[str, object]:
        """Weights, and what is retrieved."""
        return {
            **config.mix.model_dump(mode="json"),
            "knowledge": config.knowledge.model_dump(mode="json", include=_KNOWLEDGE),
        }

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """One lookup per question."""
        kept = sum(1 for _ in read_rows(job.inputs["filter"] / "kept.jsonl", Rationale))
        return Estimate(rows=3 * kept, note="one lookup per question")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes examples.jsonl, in the order of the rationales.

        Raises: ConfigurationError when there is nothing to make examples of.
        """
        path = job.inputs["filter"] / "kept.jsonl"
        kept = list(read_rows(path, Rationale))
        train = read_rows(job.inputs["data"] / "train.jsonl", Question)
        questions = _of(kept, {question.key: question for question in train}, path)
        weights: Mapping[Task, float] = job.config.mix.task_weights
        shown: Mapping[str, Shown] = {}
        if weights.get("AD"):
            shown = asyncio.run(_looked_up(job, list(questions.values())))
        examples = list(_examples(kept, questions, shown, weights))
        if not examples:
            raise ConfigurationError(f"{path}: no example comes of it, so there is nothing to fit")
        write_rows(job.folder / EXAMPLES, iter(examples))
        counts = {task: sum(one.task == task for one in examples) for task in ("AD", "AP", "DC")}
        found_nothing = sum(not one.texts for one in shown.values())
        return {**counts, "questions": len(questions), "found_nothing": found_nothing}


STAGE = Mix()


def _of(
    kept: Sequence[Rationale], train: Mapping[str, Question], path: Path
) -> dict[str, Question]:
    """The questions of the rationales, in their order."""
    for rationale in kept:
        if rationale.question not in train:
            raise ConfigurationError(
                f"{path}: {rationale.key}: there is no train question {rationale.question!r}"
            )
    return {rationale.question: train[rationale.question] for rationale in kept}


def _examples(
    kept: Sequence[Rationale],
    questions: Mapping[str, Question],
    shown: Mapping[str, Shown],
    weights: Mapping[Task, float],
) -> Iterator[Example]:
    """The rows of each rationale; AP once per question, however many rationales it has."""
    answered = set()
    for rationale in kept:
        question = questions[rationale.question]
        found = shown.get(question.key)
        if found is not None and found.texts:
            yield with_knowledge(
                question, rationale, found.texts, found.entries, weight=weights["AD"]
            )
        if weights.get("AP") and question.key not in answered:
            answered.add(question.key)
            yield direct_answer(question, weight=weights["AP"])
        if weights.get("DC"):
            yield chain_of_thought(question, rationale, weight=weights["DC"])


async def _looked_up(job: Job, questions: Sequence[Question]) -> dict[str, Shown]:
    """What the service would find for each question, its own entries left out."""
    from services.reasoner.pipeline import knowledge_query  # noqa: PLC0415
    from training.knowledge_bases import KnowledgeSpec, open_bases  # noqa: PLC0415 - onnxruntime

    config = job.config
    spec = KnowledgeSpec(
        dump=job.inputs["check-knowledge"] / "dump",
        lexical_weight=config.knowledge.lexical_weight,
        vector_weight=config.knowledge.vector_weight,
        max_related=config.knowledge.max_related,
    )
    shown = {}
    async with open_bases({"": spec}, config.knowledge) as bases:
        with job.progress.bar("lookups", len(questions)) as advance:
            for question in questions:
                request = ReasonRequest(
                    question=question.text,
                    top_k=config.mix.top_k,
                    exclude_source=question.key,
                )
                lookup = await bases[""].lookup(knowledge_query(request))
                entries = (*lookup.found, *lookup.related)
                shown[question.key] = Shown(
                    texts=prompts.knowledge_texts(entries, lookup.conclusions),
                    entries=tuple(one.entry.id for one in entries),
                )
                advance(1)
    return shown
