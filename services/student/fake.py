"""A student without a model: a function from prompt to completion.

For tests, and for trying the service where no engine is installed
(`NESYCD_STUDENT__BACKEND=scripted`, which speaks `default_script`). It counts words as
tokens, keeps every rule of `Student` and passes the same contract suite as the real one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass

from services.common import prompts
from services.common.errors import NesycdError, StudentUnavailableError
from services.common.settings import StudentSettings
from services.student.adapters import AdapterCatalog
from services.student.admission import Admission, check_length, check_prompt
from services.student.loaded_adapters import LoadedAdapter, LoadedAdapters
from services.student.protocol import (
    AdapterInfo,
    Delta,
    FinishReason,
    Sampling,
    StudentInfo,
    TokenGap,
)

MODEL_NAME = "scripted"


@dataclass(frozen=True, slots=True)
class Scripted:
    """One scripted completion.

    Attributes:
        text: what the student writes before it ends by itself.
        gap: the gap of every token, 0 to 1, or one for each; the last one goes on.
        token_delay_s: seconds that each token takes.
        failure: raised after the text, where the completion would have ended.
    """

    text: str
    gap: float | tuple[float, ...] = 0.9
    token_delay_s: float = 0.0
    failure: NesycdError | None = None

    def gap_at(self, place: int) -> float:
        """The gap of the token at `place`, counted from 0."""
        if isinstance(self.gap, tuple):
            return self.gap[min(place, len(self.gap) - 1)]
        return self.gap


Script = Callable[[str], str | Scripted]
"""From a whole prompt to its completion."""


def default_script(prompt: str) -> Scripted:
    """Answers 42 to everything, surely; with gap 0.1 when the prompt has the word "unsure".

    A prompt that ends in the answer cue gets the answer alone, any other one a rationale.
    So both ways through the gate can be taken over the wire, by the question alone.
    """
    gap = 0.1 if "unsure" in prompt.lower() else 0.95
    if prompt.endswith(prompts.ANSWER_CUE):
        return Scripted(" 42.", gap)
    return Scripted(f" Six times seven is 42.\n{prompts.ANSWER_CUE} 42.", gap)


class ScriptedStudent:
    """A `Student` that follows a script. A token is a word with the white space before it."""

    def __init__(self, script: Script, settings: StudentSettings | None = None) -> None:
        settings = settings or StudentSettings()
        self._script = script
        self._max_model_len = settings.max_model_len
        self._admission = Admission(settings.max_queued)
        self._adapters = LoadedAdapters(
            AdapterCatalog(settings.adapters_dir, max_rank=settings.max_lora_rank, base=None),
            self,
            capacity=settings.max_loras,
            default=settings.default_adapter,
        )
        self._is_dead = False

    @property
    def in_flight(self) -> int:
        """Requests admitted and not ended."""
        return self._admission.in_flight

    @property
    def adapter_loads(self) -> Mapping[str, int]:
        """How often each adapter's weights were brought in; see `ManagedStudent`."""
        return self._adapters.loads

    async def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncGenerator[Delta, None]:
        """Continues `prompt`; see `Student.generate`."""
        with self._admission.slot():
            await self.check_health()
            check_prompt(prompt)
            prompt_tokens = len(prompt.split())
            check_length(prompt_tokens, sampling.max_new_tokens, self._max_model_len)
            async with self._adapters.use(adapter) as loaded:
                scripted = self._script(prompt)
                if isinstance(scripted, str):
                    scripted = Scripted(scripted)
                ref = loaded.folder.ref if loaded else ""
                for delta in _deltas(scripted, sampling, prompt_tokens, ref):
                    # Sleeps at no delay too: the event loop gets its turn, as with an engine.
                    await asyncio.sleep(scripted.token_delay_s * delta.completion_tokens)
                    await self.check_health()
                    if scripted.failure and delta.finish_reason is not None:
                        raise scripted.failure
                    yield delta

    async def describe(self) -> StudentInfo:
        """Says what is served; rescans the adapter folder."""
        await self.check_health()
        return StudentInfo(MODEL_NAME, self._adapters.default, await self._adapters.list())

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        """Lifts an unload. Raises AdapterNotFoundError, AdapterRefusedError."""
        return await self._adapters.load(adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        """Refuses new requests for an adapter. Raises AdapterNotFoundError."""
        return await self._adapters.unload(adapter)

    async def check_health(self) -> None:
        """Raises StudentUnavailableError after `shutdown`."""
        if self._is_dead:
            raise StudentUnavailableError("the student's engine is dead")

    def shutdown(self) -> None:
        """Plays dead; running requests fail."""
        self._is_dead = True

    async def add(self, adapter: LoadedAdapter) -> None:
        """Nothing to load: a script has no weights."""

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Nothing to unload."""


def _deltas(
    scripted: Scripted, sampling: Sampling, prompt_tokens: int, adapter: str
) -> Iterator[Delta]:
    tokens, text, finish_reason = _write(scripted.text, sampling)
    gaps = tuple(TokenGap(token, scripted.gap_at(n)) for n, token in enumerate(tokens))
    sent_text = sent_tokens = 0
    # All but the last token make deltas of their own, unless they are part of a stop string.
    ends = range(1, len(tokens)) if sampling.streamed else ()
    for end in ends:
        written = min(len("".join(tokens[:end])), len(text))
        if written > sent_text:
            new = gaps[sent_tokens:end] if sampling.with_gaps else ()
            yield Delta(text[sent_text:written], end - sent_tokens, gaps=new)
            sent_text, sent_tokens = written, end
    yield Delta(
        text=text[sent_text:],
        completion_tokens=len(tokens) - sent_tokens,
        prompt_tokens=prompt_tokens,
        gaps=gaps[sent_tokens:] if sampling.with_gaps else (),
        finish_reason=finish_reason,
        model=MODEL_NAME,
        adapter=adapter,
    )


def _write(script: str, sampling: Sampling) -> tuple[list[str], str, FinishReason]:
    """The tokens written, the text they leave, and why it ended."""
    # As with a real model, ending by itself takes a token, and that one has no text.
    tokens = [*re.findall(r"\s*\S+|\s+$", script), ""]
    written = ""
    for count, token in enumerate(tokens[: sampling.max_new_tokens], 1):
        written += token
        places = [place for stop in sampling.stop if (place := written.find(stop)) >= 0]
        if places:
            return tokens[:count], written[: min(places)], FinishReason.STOP
    if len(tokens) <= sampling.max_new_tokens:
        return tokens, written, FinishReason.STOP
    return tokens[: sampling.max_new_tokens], written, FinishReason.LENGTH
