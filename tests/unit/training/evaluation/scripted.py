"""A student without a model and an embedder without one, behind the real pipeline.

The student knows the apples of the questions: it answers directly and rightly, sure of numbers
below ten alone, and reasons rightly only with knowledge that it was given.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kb_loader.dump import write_manifest
from services.common import prompts
from services.common.settings import Settings
from services.knowledge.fake import HashEmbedder
from services.student.fake import Scripted, ScriptedStudent
from services.student.protocol import ManagedStudent
from tests.tiny_models import write_adapter
from tests.unit.kb_loader.dumps import note, write
from training import answering, knowledge_bases

SURE_BELOW = 10


class Room:
    """Counts the prompts that were written to; breaks off when told to."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.breaks_at: int | None = None

    def script(self, prompt: str) -> Scripted:
        """Answers, as the module says."""
        if self.breaks_at is not None and len(self.prompts) >= self.breaks_at:
            raise KeyboardInterrupt
        self.prompts.append(prompt)
        number = int(re.findall(r"How many are (\d+) apples", prompt)[-1])
        if prompt.endswith(prompts.ANSWER_CUE):
            is_sure = number < SURE_BELOW
            return Scripted(f" {number if is_sure else 0}.", gap=0.9 if is_sure else 0.3)
        answer = number if "Knowledge:" in prompt else 0
        return Scripted(f" Count them.\n{prompts.ANSWER_CUE} {answer}.")

    def open(self, settings: Settings) -> ManagedStudent:
        """In place of `open_student`."""
        return ScriptedStudent(self.script, settings.student)


def made_room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Puts student and embedder in place of those that need models."""
    room = Room()
    monkeypatch.setattr(answering, "open_student", room.open)
    monkeypatch.setattr(knowledge_bases, "open_embedder", lambda _: HashEmbedder())
    return room


def made_dump(folder: Path) -> Path:
    """Two notes about apples, one about pears."""
    write(
        folder,
        note(id="a", question="How many are 1 apples?", source="svamp-1"),
        note(id="b", question="How many are 20 apples?", source="svamp-20"),
        note(id="c", question="How many are 3 pears?", source="svamp-pears"),
    )
    write_manifest(folder, "r1")
    return folder


def made_adapters(folder: Path) -> Path:
    """sp@v1 and se@v1 in one folder."""
    for name in ("sp", "se"):
        write_adapter(folder, f"{name}@v1")
    return folder
