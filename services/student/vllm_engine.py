"""The student on vLLM: one `AsyncLLM` engine per process, with LoRA adapters.

The only module that imports vllm. What it relies on in vLLM 0.32 beyond the documented API
is `AsyncLLM.add_request`, whose queue merges the deltas that nobody has taken yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from transformers import AutoConfig
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.inputs import TextPrompt
from vllm.lora.request import LoRARequest
from vllm.outputs import RequestOutput
from vllm.platforms import current_platform
from vllm.renderers import TokenizeParams
from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.output_processor import RequestOutputCollector

from services.common.errors import (
    ConfigurationError,
    InvalidRequestError,
    StudentUnavailableError,
)
from services.common.settings import StudentSettings
from services.student.admission import Admission, check_length, check_prompt
from services.student.loaded_adapters import LoadedAdapter, LoadedAdapters, adapters_held
from services.student.number_format import cpu_dtype
from services.student.protocol import (
    AdapterInfo,
    Delta,
    FinishReason,
    Sampling,
    StudentInfo,
    TokenGap,
)
from services.student.token_gaps import TokenTexts, gap

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "repetition": FinishReason.LOOP,
}
# Small students fall into loops. Six times the same 4 to 32 tokens in a row is one, while a
# long number or a row of brackets, which repeat shorter pieces, is not.
_LOOP = RepetitionDetectionParams(max_pattern_size=32, min_pattern_size=4, min_count=6)
_SHUTDOWN_S = 15.0  # it takes about 6; vLLM's own limit of 5 kills it just before the end
_CPU_LORA_KERNELS = "services.student.cpu_lora_kernels.CpuLoraKernels"


class VllmStudent:
    """A `Student` on a vLLM engine. Make it inside the event loop that will use it.

    Starting takes seconds (eager) to minutes (compiled) and blocks.

    Args:
        settings: the student's section.
        model: folder or Hugging Face id.
        name: the model's display name.

    Raises:
        ConfigurationError: the engine does not start with these settings, or the default
            adapter cannot be served.
    """

    def __init__(self, settings: StudentSettings, *, model: str, name: str) -> None:
        self._name = name
        self._hold_s = settings.stream_interval_ms / 1000
        self._admission = Admission(settings.max_queued)
        self._request_ids = itertools.count(1)
        _set_environment(settings)
        try:
            config = AutoConfig.from_pretrained(model).get_text_config()
            # Before the engine: a bad default adapter is then refused in milliseconds.
            self._adapters = LoadedAdapters.open(settings, self, model=model, config=config)
            self._engine = AsyncLLM.from_engine_args(
                _engine_args(settings, model, getattr(config, "max_position_embeddings", None)),
                stat_loggers=_stat_loggers(),
            )
        except (OSError, RuntimeError, ValueError, VLLMClientError) as error:
            raise ConfigurationError(f"the student {name} does not start: {error}") from error
        self._max_model_len: int = self._engine.model_config.max_model_len
        self._tokenizer = self._engine.get_tokenizer()
        if getattr(self._tokenizer, "backend_tokenizer", None) is None:
            self.shutdown()
            raise ConfigurationError(
                f"the student {name} does not start: its tokenizer is not one of the tokenizers "
                f"library, so the texts of single tokens cannot be told"
            )

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
        with self._admission.slot(), _engine_errors():
            await self.check_health()
            check_prompt(prompt)
            inputs = await self._tokenize(prompt, sampling.max_new_tokens)
            async with self._adapters.use(adapter) as loaded:
                request_id = str(next(self._request_ids))
                finished = False
                try:
                    queue = await self._engine.add_request(
                        request_id,
                        inputs,
                        _sampling_params(sampling),
                        lora_request=_lora_request(loaded) if loaded else None,
                    )
                    texts = TokenTexts(
                        self._tokenizer.backend_tokenizer, inputs["prompt_token_ids"]
                    )
                    sent_at = float("-inf")
                    while not finished:
                        output = await _next_piece(queue, sent_at + self._hold_s)
                        finished = output.finished
                        delta = _delta(output, texts)
                        if finished:
                            ref = loaded.folder.ref if loaded else ""
                            delta = replace(delta, model=self._name, adapter=ref)
                        sent_at = asyncio.get_running_loop().time()
                        yield delta
                finally:
                    # By its outer id, which also finds a request that was cancelled while
                    # it was being added.
                    if not finished:
                        await self._engine.abort(request_id)

    async def describe(self) -> StudentInfo:
        """Says what is served; rescans the adapter folder."""
        await self.check_health()
        adapters = await self._adapters.list()
        return StudentInfo(self._name, self._adapters.default, adapters)

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        """Brings an adapter in and lifts an unload.

        Raises: AdapterNotFoundError, AdapterRefusedError, StudentUnavailableError.
        """
        with _engine_errors():
            return await self._adapters.load(adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        """Refuses new requests for an adapter and takes it out once the running ones end.

        Raises: AdapterNotFoundError, AdapterRefusedError, StudentUnavailableError.
        """
        with _engine_errors():
            return await self._adapters.unload(adapter)

    async def check_health(self) -> None:
        """Raises StudentUnavailableError when the engine is dead; it does not come back."""
        if self._engine.errored:
            raise StudentUnavailableError("the student's engine is dead")

    def shutdown(self) -> None:
        """Ends the engine and its processes; running requests fail. Safe to call twice."""
        self._engine.shutdown(timeout=_SHUTDOWN_S)

    async def add(self, adapter: LoadedAdapter) -> None:
        """Brings weights into the engine (the `AdapterLoader` side of this class)."""
        with _dead_engine():
            await self._engine.add_lora(_lora_request(adapter))

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Takes weights out of the engine (the `AdapterLoader` side of this class)."""
        await self._engine.remove_lora(adapter.number)

    async def _tokenize(self, prompt: str, max_new_tokens: int) -> Any:
        # The longest text that may still fit, so that a huge one is not tokenized at all.
        most = self._max_model_len * self._tokenizer.max_chars_per_token
        if len(prompt) > most:
            raise InvalidRequestError.of_field(
                "question",
                f"its prompt of {len(prompt)} characters exceeds the model's context of "
                f"{self._max_model_len} tokens",
            )
        (inputs,) = await self._engine.renderer.render_cmpl_async(
            [TextPrompt(prompt=prompt)], TokenizeParams(max_total_tokens=None)
        )
        tokens = len(inputs["prompt_token_ids"])
        check_length(tokens, max_new_tokens, self._max_model_len)
        return inputs


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """Turns vLLM's errors into ours."""
    try:
        with _dead_engine():
            yield
    except VLLMClientError as error:
        raise InvalidRequestError.of_field("question", str(error)) from error


@contextlib.contextmanager
def _dead_engine() -> Iterator[None]:
    try:
        yield
    except EngineDeadError as error:
        raise StudentUnavailableError("the student's engine is dead") from error


async def _next_piece(queue: RequestOutputCollector, not_before: float) -> RequestOutput:
    """The next output that has text, merged with what comes until the time `not_before`.

    The end is never held back. Times are the event loop's, in seconds.
    """
    loop = asyncio.get_running_loop()
    output: RequestOutput = queue.get_nowait() or await queue.get()
    while not output.finished:
        has_text = bool(output.outputs[0].text)  # there is none inside a character or stop string
        if has_text and loop.time() >= not_before:
            break
        try:
            async with asyncio.timeout_at(not_before if has_text else None):
                output.add(await queue.get(), aggregate=True)
        except TimeoutError:
            break
    return output


def _delta(output: RequestOutput, texts: TokenTexts) -> Delta:
    completion = output.outputs[0]
    finish_reason = None
    if output.finished:
        finish_reason = _FINISH.get(completion.finish_reason)
        if finish_reason is None:  # "abort" and "error": the engine gave the request up
            raise StudentUnavailableError("the student's engine gave this request up")
    gaps = []
    # An end-of-text token need not be a special one, but is never part of the text.
    ended_by_token = finish_reason is FinishReason.STOP and completion.stop_reason is None
    for place, token_id in enumerate(completion.token_ids if completion.logprobs else (), 1):
        is_end = ended_by_token and place == len(completion.token_ids)
        top = completion.logprobs[place - 1].values()
        text = "" if is_end else texts.next(token_id)
        gaps.append(TokenGap(text, gap(entry.logprob for entry in top)))
    return Delta(
        text=completion.text,
        completion_tokens=len(completion.token_ids),
        prompt_tokens=len(output.prompt_token_ids) if output.finished else 0,
        gaps=tuple(gaps),
        finish_reason=finish_reason,
    )


def _sampling_params(sampling: Sampling) -> SamplingParams:
    # Never a seed: one is enough to kill a CPU engine.
    return SamplingParams(
        temperature=0.0,
        max_tokens=sampling.max_new_tokens,
        stop=list(sampling.stop),
        logprobs=2 if sampling.with_gaps else None,
        repetition_detection=_LOOP,
        output_kind=(
            RequestOutputKind.DELTA if sampling.streamed else RequestOutputKind.FINAL_ONLY
        ),
    )


def _lora_request(adapter: LoadedAdapter) -> LoRARequest:
    # vLLM keys its prefix cache by this name: with the number in it, weights that were
    # unloaded, changed and loaded again never meet the old ones' cache.
    return LoRARequest(
        f"{adapter.folder.ref}#{adapter.number}", adapter.number, str(adapter.folder.path)
    )


def _set_environment(settings: StudentSettings) -> None:
    """Sets what vLLM's child processes read from their environment."""
    # One processor is left to what feeds the engine: its threads wait for each other, so
    # sharing one of theirs slows them all.
    threads = settings.threads or max(1, len(os.sched_getaffinity(0)) - 1)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Left to itself vLLM pins threads to the first cores, in every replica of a machine.
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    # Threads that spin while they wait take the processor from the one they wait for, as soon
    # as anything else runs there: ten times fewer tokens per second on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if current_platform.is_cpu():
        # The worker in the engine's own process: one process less to start, and one hop per
        # step. vLLM splits them to bind threads itself, which is declined above.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if settings.eager:
        # vLLM compiles a helper of the log-probabilities all the same, for seconds, while the
        # first request waits.
        os.environ["TORCH_COMPILE_DISABLE"] = "1"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"


def _engine_args(settings: StudentSettings, model: str, model_limit: int | None) -> AsyncEngineArgs:
    on_cpu = current_platform.is_cpu()
    dtype: str = settings.dtype
    if dtype == "auto" and on_cpu:
        dtype = cpu_dtype()
    length = settings.max_model_len
    return AsyncEngineArgs(
        model=model,
        dtype=dtype,
        max_model_len=min(length, model_limit) if model_limit else length,
        # A GPU gives the cache what the weights leave free.
        kv_cache_memory_bytes=settings.kv_cache_bytes if on_cpu else None,
        max_num_seqs=settings.max_sequences,
        enforce_eager=settings.eager,
        distributed_executor_backend="uni" if on_cpu else None,
        enable_prefix_caching=True,
        enable_chunked_prefill=True,
        enable_lora=settings.adapters_dir is not None,
        max_lora_rank=settings.max_lora_rank,
        max_loras=settings.max_loras,
        max_cpu_loras=adapters_held(settings),
        worker_extension_cls=_CPU_LORA_KERNELS if on_cpu and settings.adapters_dir else "",
        use_tqdm_on_load=False,
        disable_log_stats=True,
    )


def _stat_loggers() -> list[Any] | None:
    """Inside a Ray worker vLLM's metrics go through Ray, as `ray_vllm_...`; else nowhere."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    from vllm.v1.metrics.ray_wrappers import (  # noqa: PLC0415  # imports ray
        RayPrometheusStatLogger,
    )

    return [RayPrometheusStatLogger]
