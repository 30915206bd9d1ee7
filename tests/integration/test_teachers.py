"""A real local model as a teacher, and Hugging Face datasets read by the real library."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.common.settings import Settings, StudentSettings
from tests.tiny_models import build_model
from tests.unit.training.teachers.teacher_suite import TeacherSuite, asked
from training.config import LocalTeacher
from training.teachers.local import LocalModel
from training.teachers.protocol import Message, Prompt, Teacher

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "<{{ message.role }}>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_template(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": TEMPLATE}))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_model(tmp_path_factory.mktemp("mentor"))
    write_template(folder)
    return folder


def local(model: Path, *, chat: bool = True) -> LocalModel:
    student = StudentSettings(
        backend="transformers", model=str(model), max_model_len=256, dtype="float32", threads=1
    )
    spec = LocalTeacher(kind="local", student=student, chat=chat, in_flight=8)
    return LocalModel(spec, Settings())


class TestLocalModel(TeacherSuite):
    @pytest.fixture
    def teacher(self, model: Path) -> Teacher:
        return local(model)

    @pytest.fixture
    def hopeless(self) -> Prompt:
        return asked("a word " * 200)


def add_bos(folder: Path) -> None:
    """Makes the tokenizer put <s> before every text itself, as Llama's does."""
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    texts = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [bos, texts[0]],
        "pair": [bos, *texts],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    }
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize("adds_bos", [False, True])
async def test_the_template_writes_the_conversation_with_one_token_before_it(
    model: Path, tmp_path: Path, *, adds_bos: bool
) -> None:
    folder = tmp_path / "mentor"
    shutil.copytree(model, folder)
    if adds_bos:
        add_bos(folder)
    messages = (Message("user", "2 + 2?"), Message("assistant", "5"), Message("user", "No."))
    teacher = local(folder)
    reply = await teacher.write(Prompt(messages, 8))
    assert reply.prompt_tokens == 1 + len("<user>2 + 2?<assistant>5<user>No.<assistant>")
    assert (reply.model, reply.completion_tokens, reply.finish_reason) == ("mentor", 8, "length")
    await teacher.close()


async def test_a_template_that_refuses_the_conversation_stops_the_work(model: Path) -> None:
    teacher = local(model)
    with pytest.raises(ConfigurationError, match=r"refuses the conversation: no system turn"):
        await teacher.write(Prompt((Message("system", "Be brief."), Message("user", "?")), 8))
    await teacher.close()


def test_a_model_without_a_template_is_refused(tmp_path: Path) -> None:
    build_model(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match=r"bare has no chat template; set chat = false"):
        local(tmp_path / "bare")
