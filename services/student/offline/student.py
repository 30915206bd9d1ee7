"""The student on transformers: for machines that have torch and PEFT, but no vLLM.

Meant for evaluation and other work offline, on a CPU or on one GPU. It writes what
`vllm_engine.VllmStudent` writes, with the same gaps, and decodes requests together that run
at the same time; it has neither compiled kernels nor a prefix cache.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from services.common.errors import (
    ConfigurationError,
    InvalidRequestError,
)
from services.common.settings import StudentSettings
from services.student.admission import Admission, check_length, check_prompt
from services.student.loaded_adapters import LoadedAdapter, LoadedAdapters
from services.student.number_format import cpu_dtype
from services.student.offline.batch import DecodingBatch
from services.student.offline.cache import GrowingLayer
from services.student.offline.completion import Completion
from services.student.offline.request import DecodingRequest
from services.student.offline.worker import DecodingLimits, DecodingWorker
from services.student.protocol import AdapterInfo, Delta, Sampling, StudentInfo
from services.student.token_gaps import TokenTexts

# While rows join or leave, the old cache and the new one stand side by side.
_CACHE_COPIES = 2
_GPU_CACHE_SHARE = 0.8  # of what the weights leave free; the rest is for a step's own numbers
# A pass over this many tokens keeps the device busy; larger ones make the others wait.
_GPU_READ_TOKENS, _CPU_READ_TOKENS = 16_384, 1024


class TransformersStudent:
    """A `Student` on a transformers model.

    Starting takes seconds and blocks.

    Args:
        settings: the student's section.
        model: folder or Hugging Face id.
        name: the model's display name.

    Raises:
        ConfigurationError: the model does not load with these settings, it is none that can be
            decoded here, or the default adapter cannot be served.
    """

    def __init__(self, settings: StudentSettings, *, model: str, name: str) -> None:
        self._name = name
        self._hold_s = settings.stream_interval_ms / 1000
        self._admission = Admission(settings.max_queued)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            config = AutoConfig.from_pretrained(model).get_text_config()
            # Before the model: a bad default adapter is then refused in milliseconds.
            self._adapters = LoadedAdapters.open(settings, self, model=model, config=config)
            self._tokenizer, end_id = _load_tokenizer(model)
            loaded = _load_model(model, settings, device)
            limits = _limits(loaded, settings)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigurationError(f"the student {name} does not start: {error}") from error
        self._end_ids = _end_ids(loaded.generation_config.eos_token_id, end_id)
        limit = getattr(config, "max_position_embeddings", None)
        self._max_model_len = min(settings.max_model_len, limit or settings.max_model_len)
        self._longest_token = max(map(len, self._tokenizer.get_vocab()))
        self._worker = DecodingWorker(loaded, limits)

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
            prompt_ids = await self._tokenize(prompt, sampling.max_new_tokens)
            async with self._adapters.use(adapter) as loaded:
                texts = TokenTexts(self._tokenizer, prompt_ids)
                request = DecodingRequest(
                    prompt_ids,
                    sampling,
                    Completion(sampling, texts, self._end_ids),
                    adapter=loaded.number if loaded else 0,
                )
                try:
                    self._worker.submit(request)
                    delta, sent_at = None, float("-inf")
                    while delta is None or delta.finish_reason is None:
                        delta = await request.next_delta(sent_at + self._hold_s)
                        if delta.finish_reason is not None:
                            delta = replace(
                                delta,
                                prompt_tokens=len(prompt_ids),
                                model=self._name,
                                adapter=loaded.folder.ref if loaded else "",
                            )
                        sent_at = asyncio.get_running_loop().time()
                        yield delta
                finally:
                    request.is_cancelled = True

    async def describe(self) -> StudentInfo:
        """Says what is served; rescans the adapter folder."""
        await self.check_health()
        return StudentInfo(self._name, self._adapters.default, await self._adapters.list())

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        """Brings an adapter in and lifts an unload.

        Raises: AdapterNotFoundError, AdapterRefusedError, StudentUnavailableError.
        """
        return await self._adapters.load(adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        """Refuses new requests for an adapter and takes it out once the running ones end.

        Raises: AdapterNotFoundError, AdapterRefusedError, StudentUnavailableError.
        """
        return await self._adapters.unload(adapter)

    async def check_health(self) -> None:
        """Raises StudentUnavailableError when the worker is dead; it does not come back."""
        self._worker.check()

    def shutdown(self) -> None:
        """Ends the worker and frees the model; running requests fail. Safe to call twice."""
        self._worker.stop()

    async def add(self, adapter: LoadedAdapter) -> None:
        """Brings weights into the model (the `AdapterLoader` side of this class)."""
        await self._worker.add_adapter(adapter.number, adapter.folder.path)

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Takes weights out of the model (the `AdapterLoader` side of this class)."""
        await self._worker.remove_adapter(adapter.number)

    async def _tokenize(self, prompt: str, max_new_tokens: int) -> list[int]:
        # The longest text that may still fit, so that a huge one is not tokenized at all.
        if len(prompt) > self._max_model_len * self._longest_token:
            raise InvalidRequestError.of_field(
                "question",
                f"its prompt of {len(prompt)} characters exceeds the model's context of "
                f"{self._max_model_len} tokens",
            )
        encoded = await asyncio.to_thread(self._tokenizer.encode, prompt)
        prompt_ids: list[int] = encoded.ids
        check_length(len(prompt_ids), max_new_tokens, self._max_model_len)
        return prompt_ids


def _load_tokenizer(model: str) -> tuple[Tokenizer, int | None]:
    """The tokenizer, with nothing cut or padded, and its end-of-text token."""
    loaded = AutoTokenizer.from_pretrained(model)
    tokenizer = getattr(loaded, "backend_tokenizer", None)
    if tokenizer is None:
        raise ValueError(
            "its tokenizer is not one of the tokenizers library, so the texts of single tokens "
            "cannot be told"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, loaded.eos_token_id


def _load_model(model: str, settings: StudentSettings, device: torch.device) -> Any:
    dtype: str = settings.dtype
    if dtype == "auto" and device.type == "cpu":
        dtype = cpu_dtype()
    return AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval()


def _limits(model: Any, settings: StudentSettings) -> DecodingLimits:
    """Reads one token, to see that the model decodes here and what a token takes in the cache.

    Raises ValueError for a model whose state is not keys and values of every token.
    """
    try:
        with torch.inference_mode():
            batch, _ = DecodingBatch.read(model, [[0]], with_gaps=True)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it cannot be decoded step by step: {error}") from error
    layers = batch.layers
    if not layers or not all(isinstance(layer, GrowingLayer) for layer in layers):
        raise ValueError("its state is not keys and values of every token")
    on_gpu = model.device.type == "cuda"
    memory = settings.kv_cache_bytes
    if on_gpu:
        memory = int(torch.cuda.mem_get_info()[0] * _GPU_CACHE_SHARE)
    return DecodingLimits(
        rows=settings.max_sequences,
        cache_tokens=memory // _CACHE_COPIES // batch.cache_bytes,
        read_tokens=_GPU_READ_TOKENS if on_gpu else _CPU_READ_TOKENS,
        # As the vLLM student: one processor is left to what feeds it.
        threads=settings.threads or max(1, len(os.sched_getaffinity(0)) - 1),
    )


def _end_ids(of_model: int | list[int] | None, of_tokenizer: int | None) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's, and those the generation settings name."""
    ids = of_model if isinstance(of_model, list) else [of_model]
    return frozenset(one for one in (*ids, of_tokenizer) if one is not None)
