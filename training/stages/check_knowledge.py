"""Stage 3b of NesyCD: lessons become the entries of a dump, or are kept with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kb_loader.dump import write_file
from services.common.errors import ConfigurationError
from services.common.records import EntryKind
from services.common.settings import load_settings
from training.config import Config
from training.distilling.card import card
from training.distilling.dump import write_dump
from training.distilling.duplicates import merge_notes
from training.distilling.entries import sort_lessons
from training.manifest import Value
from training.row_file import read_rows, write_rows
from training.rows import Lesson, Question
from training.stage import Estimate, Job

RELEASE: Final = "distilled"
"""Of the run's own dump. `package` gives it the name that the service shows: otherwise another
name would mean another S_E."""


class CheckKnowledge:
    """Checks, merges, and writes the dump."""

    name = "check-knowledge"
    needs = ("data", "distil-knowledge")

    def settings(self, config: Config) -> dict[str, object]:
        """What merging goes by."""
        return {
            "duplicate_similarity": config.distil.duplicate_similarity,
            "embedder": config.knowledge.embedder,
        }

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """Some seconds, nearly all for the embedder."""
        lessons = list(read_rows(job.inputs["distil-knowledge"] / "lessons.jsonl", Lesson))
        return Estimate(rows=len(lessons), note="embeds every note")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes dump/, rejected.jsonl and card.md.

        Raises: ConfigurationError when not one note is left.
        """
        from services.knowledge.embedder import open_embedder  # noqa: PLC0415 - onnxruntime

        lessons = list(read_rows(job.inputs["distil-knowledge"] / "lessons.jsonl", Lesson))
        train = read_rows(job.inputs["data"] / "train.jsonl", Question)
        questions = {question.key: question for question in train}
        found = sort_lessons(lessons, questions)
        settings = load_settings().model_copy(update={"knowledge": job.config.knowledge})
        merge_notes(
            found, open_embedder(settings), similarity=job.config.distil.duplicate_similarity
        )
        rejected = sorted(found.rejected, key=lambda row: row.key)
        write_rows(job.folder / "rejected.jsonl", iter(rejected))
        write_file(job.folder / "card.md", card(lessons, questions, found).encode())
        kinds = {kind: sum(one.kind is kind for one in found.entries) for kind in EntryKind}
        if not kinds[EntryKind.NOTE]:
            raise ConfigurationError(
                f"no note is left of {len(lessons)} lessons; {job.folder / 'rejected.jsonl'} says "
                f"why each was rejected"
            )
        teachers = sorted({entry.provenance for entry in found.entries})
        write_dump(
            found.entries,
            job.folder / "dump",
            RELEASE,
            description=f"Distilled from {len(lessons)} errors of {job.config.name}",
            provenance=", ".join(teachers),
        )
        return {
            "lessons": len(lessons),
            **{f"{kind.value}s": count for kind, count in kinds.items()},
            "rejected": len(rejected),
        }


STAGE = CheckKnowledge()
