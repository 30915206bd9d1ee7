"""The sample that `make run` serves: what a run packed, with questions of our own.

    python -m training.sample RUN/package-KEY        # make sample DATA=DIR does all of it

A note is found by the question it was made for, and a benchmark's questions are not ours to pass
on. So each note gets the most alike question of its task from `sample_questions.jsonl`, each of
which stands for one note; a note that none is left for stays out. The curated entries of
kb_loader/sample, with their facts and rules, come with them. The adapter and the settings are
those of the run. What was evaluated is the run's own dump, not this one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kb_loader.dump import read_dump, write_file
from services.common.errors import ConfigurationError
from services.common.records import Entry, EntryKind
from services.common.settings import load_settings
from services.knowledge.embedder import open_embedder
from services.knowledge.protocol import Embedder
from training.distilling.dump import write_dump
from training.stages.package import ADAPTERS, DUMP, ENVIRONMENT

RELEASE: Final = "sample-1"
QUESTIONS: Final = Path(__file__).with_name("sample_questions.jsonl")
SAMPLE: Final = Path(__file__).with_name("sample")
CURATED: Final = Path(__file__).parents[1] / "kb_loader" / "sample"
_KEPT: Final = (ADAPTERS, ENVIRONMENT)


class StandIn(BaseModel):
    """A question that may be passed on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1)
    question: str = Field(min_length=1)


def read_stand_ins(path: Path) -> list[StandIn]:
    """Reads JSON Lines. Raises: ConfigurationError naming the line and the field."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(StandIn.model_validate_json(line))
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            field = ".".join(map(str, wrong["loc"])) or "the line"
            raise ConfigurationError(f"{path}:{number}: {field}: {wrong['msg']}") from error
    return found


def with_stand_ins(
    notes: Sequence[Entry], stand_ins: Sequence[StandIn], embedder: Embedder
) -> list[Entry]:
    """The notes that a question is found for, each with that question; by id.

    Within a task the most alike pair is joined first, then the next of what is left.
    """
    joined = []
    for task in sorted({note.task for note in notes}):
        of_task = [note for note in notes if note.task == task]
        texts = [one.question for one in stand_ins if one.task == task]
        if not texts:
            continue
        alike = embedder.embed([note.question for note in of_task]) @ embedder.embed(texts).T
        pairs = sorted(
            ((row, column) for row in range(len(of_task)) for column in range(len(texts))),
            key=lambda pair: -alike[pair],
        )
        rows, columns = set[int](), set[int]()
        for row, column in pairs:
            if row not in rows and column not in columns:
                rows.add(row)
                columns.add(column)
                joined.append(replace(of_task[row], question=texts[column]))
    return sorted(joined, key=lambda note: note.id)


def write_sample(package: Path, sample: Path, *, curated: Path, questions: Path) -> list[str]:
    """Makes the sample anew in place of any that is there.

    Args:
        package: folder of a run's `package` stage.
        sample: the folder to write.
        curated: dump whose entries come with the notes.
        questions: JSON Lines of `StandIn`.

    Returns: tasks of notes that stayed out, once per note.

    Raises: ConfigurationError, something cannot be read or written.
    """
    entries = list(read_dump(package / DUMP).entries())
    notes = [entry for entry in entries if entry.kind is EntryKind.NOTE]
    kept = with_stand_ins(notes, read_stand_ins(questions), open_embedder(load_settings()))
    together = sorted([*read_dump(curated).entries(), *kept], key=lambda entry: entry.id)
    try:
        readme = (package / "README.md").read_text(encoding="utf-8")
        shutil.rmtree(sample, ignore_errors=True)
        sample.mkdir(parents=True)
        for name in _KEPT:
            copy = shutil.copytree if (package / name).is_dir() else shutil.copy
            copy(package / name, sample / name)
    except (OSError, shutil.Error) as error:
        raise ConfigurationError(f"{package} cannot be copied to {sample}: {error}") from error
    write_dump(
        together,
        sample / DUMP,
        RELEASE,
        description=f"{len(kept)} distilled notes, questions of our own, and the curated sample",
        provenance=", ".join(sorted({entry.provenance for entry in together})),
    )
    write_file(sample / "README.md", (readme + _about(len(kept))).encode())
    left = {note.id for note in notes} - {note.id for note in kept}
    return sorted(note.task for note in notes if note.id in left)


def _about(distilled: int) -> str:
    return f"""
## As a sample

`{DUMP}/` is release {RELEASE} here: {distilled} of the notes, each found by a question of our own
in place of the benchmark's, and all of kb_loader/sample. Written by `make sample`
(training/sample.py); what was evaluated is the run's own dump.
"""


def main() -> None:
    """Parses, writes and says what was left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path, help="folder of a run's package stage")
    parser.add_argument("--out", type=Path, default=SAMPLE, help="the sample's folder")
    arguments = parser.parse_args()
    try:
        left = write_sample(arguments.package, arguments.out, curated=CURATED, questions=QUESTIONS)
    except ConfigurationError as error:
        sys.exit(f"training.sample: {error.message}")
    told = f"; without a question of their own: {len(left)}" if left else ""
    sys.stdout.write(f"written to {arguments.out}{told}\n")


if __name__ == "__main__":
    main()
