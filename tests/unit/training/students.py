"""Scripted students and small dumps for tests of what has questions answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.common.records import Entry, Note
from services.common.settings import Settings
from services.knowledge.fake import HashEmbedder
from services.student.fake import Script, ScriptedStudent
from training.distilling.dump import write_dump
from training.rows import Question


def question(number: int, text: str = "", *, task: str = "sums", gold: str = "42") -> Question:
    """A train question; its text has a word of its own."""
    return Question(
        key=f"q{number}",
        dataset="bbh",
        task=task,
        text=text or f"What is the sum about topic{number}?",
        gold=gold,
    )


def note(of: Question) -> Entry:
    """The note that was made of a question."""
    body = Note((f"Think of {of.key}.",), (f"{of.key} has a formula.",))
    return Entry(f"note.{of.key}", 1, of.task, of.text, body, of.key, "teacher")


def dump_of(folder: Path, entries: Sequence[Entry]) -> Path:
    """A dump of some entries."""
    ordered = sorted(entries, key=lambda entry: entry.id)
    write_dump(ordered, folder, "distilled", description="", provenance="teacher")
    return folder


class Opened:
    """What the code under test opened: students that follow a script, in place of an engine."""

    def __init__(self, script: Script) -> None:
        self.settings: list[Settings] = []
        self.students: list[ScriptedStudent] = []
        self.prompts: list[str] = []
        self._script = script

    def __call__(self, settings: Settings) -> ScriptedStudent:
        def overheard(prompt: str):
            self.prompts.append(prompt)
            return self._script(prompt)

        self.settings.append(settings)
        self.students.append(ScriptedStudent(overheard, settings.student))
        return self.students[-1]


def use_script(patch: pytest.MonkeyPatch, script: Script) -> Opened:
    """Lets answerers of this process follow a script."""
    opened = Opened(script)
    patch.setattr("training.answering.open_student", opened)
    return opened


def use_hash_embedder(patch: pytest.MonkeyPatch) -> None:
    """Lets knowledge bases of this process do without a model."""
    patch.setattr("training.knowledge_bases.open_embedder", lambda _: HashEmbedder())
