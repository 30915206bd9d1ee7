"""The scripted student keeps the contract; tests/integration holds the others to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.common.settings import StudentSettings
from services.student.fake import Scripted, ScriptedStudent
from tests.contract.student_suite import StudentSuite, write_adapters

CONTEXT = 256


def ramble(prompt: str) -> Scripted:
    """Sixty words that depend on the prompt, some of several bytes a character."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    words = [f" {digest[place]}語{digest[place:]}" for place in range(60)]
    gaps = tuple(int(digit, 16) / 15 for digit in digest)
    return Scripted("".join(words), gaps, token_delay_s=0.0005)


class TestScriptedStudent(StudentSuite):
    @pytest.fixture
    def context(self) -> int:
        return CONTEXT

    @pytest.fixture
    def student(self, tmp_path: Path) -> ScriptedStudent:
        settings = StudentSettings(max_model_len=CONTEXT, adapters_dir=write_adapters(tmp_path))
        return ScriptedStudent(ramble, settings)
