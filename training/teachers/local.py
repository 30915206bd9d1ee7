"""A teacher that is a model on this machine, run by the engine that runs the student."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from services.common.errors import ConfigurationError, InvalidRequestError
from services.common.settings import Settings
from services.student.factory import open_student
from services.student.models import prepare_student
from services.student.protocol import Sampling
from training.config import LocalTeacher
from training.teachers.protocol import NoReplyError, Prompt, Reply


class LocalModel:
    """A `Teacher` on vLLM or transformers.

    It is greedy whatever `Prompt.temperature` says, as every `Student` is (a seed kills a CPU
    engine). So the same conversation gets the same reply, and samples do not differ: variety
    comes from the conversation alone. Who asks again puts the refused reply and the reason of
    the refusal into it.

    Args:
        spec: engine, model, and whether to use the model's chat template.
        settings: of this process; its `student` is replaced by that of `spec`.

    Raises:
        ConfigurationError: the engine does not start, or the model has no chat template.
    """

    def __init__(self, spec: LocalTeacher, settings: Settings) -> None:
        settings = settings.model_copy(update={"student": spec.student})
        self._chat = _ChatTemplate(settings) if spec.chat else None
        self._student = open_student(settings)
        self._places = asyncio.Semaphore(spec.in_flight)

    async def write(self, prompt: Prompt) -> Reply:
        """Replies; see `Teacher.write`.

        Raises:
            NoReplyError: the conversation does not fit the model's context.
            StudentUnavailableError: the engine is dead.
        """
        text = self._chat.render(prompt) if self._chat else _as_text(prompt)
        async with self._places:
            written, tokens = "", 0
            try:
                async with aclosing(
                    self._student.generate(text, Sampling(prompt.max_new_tokens))
                ) as deltas:
                    async for delta in deltas:
                        written += delta.text
                        tokens += delta.completion_tokens
            except InvalidRequestError as error:
                raise NoReplyError(error.message) from error
        return Reply(
            text=written.strip(),
            model=delta.model,
            finish_reason=delta.finish_reason or "stop",
            prompt_tokens=delta.prompt_tokens,
            completion_tokens=tokens,
        )

    async def close(self) -> None:
        """Ends the engine."""
        self._student.shutdown()


class _ChatTemplate:
    """The model's own way of writing a conversation as one text."""

    def __init__(self, settings: Settings) -> None:
        if settings.student.backend == "scripted":
            raise ConfigurationError("teacher.chat: a scripted student has no chat template")
        from jinja2 import TemplateError  # noqa: PLC0415 - comes with transformers
        from transformers import AutoTokenizer  # noqa: PLC0415 - heavy

        self._model = prepare_student(settings, lambda _: None)
        self._refusal = TemplateError
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self._model)
        if not self._tokenizer.chat_template:
            raise ConfigurationError(
                f"teacher.chat: {self._model} has no chat template; set chat = false"
            )
        bos = self._tokenizer.bos_token_id
        ids = self._tokenizer("a").input_ids
        # The engine puts it before every prompt itself, and twice is once too often.
        self._prefix = self._tokenizer.bos_token if bos is not None and ids[:1] == [bos] else ""

    def render(self, prompt: Prompt) -> str:
        """The conversation up to where the assistant begins.

        Raises: ConfigurationError when the template refuses the conversation's form.
        """
        turns = [{"role": message.role, "content": message.text} for message in prompt.messages]
        try:
            text: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        except self._refusal as error:
            raise ConfigurationError(
                f"teacher.chat: the template of {self._model} refuses the conversation: {error}"
            ) from error
        return text.removeprefix(self._prefix)


def _as_text(prompt: Prompt) -> str:
    """The conversation for a model that knows no turns."""
    return "\n\n".join(message.text for message in prompt.messages) + "\n"
