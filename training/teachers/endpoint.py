"""A teacher behind any OpenAI-compatible chat endpoint.

The openai client is the only layer that retries: rate limits, timeouts, refused connections and
errors of the server, with its own back-off and as often as the configuration says. What is left
after that is judged here: what would meet every request stops the work, what meets one is that
request's failure.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import openai
from openai.types.chat import ChatCompletion
from pydantic import SecretStr

from services.common.errors import ConfigurationError, NesycdError
from training.config import EndpointTeacher
from training.teachers.ledger import Ledger, Payment
from training.teachers.protocol import Message, NoReplyError, Prompt, Reply

if TYPE_CHECKING:
    import httpx2
    from openai.types.chat import ChatCompletionMessageParam

_CONNECT_S = 10.0
_NO_KEY = "none"
"""Sent where no key is configured: an empty one would make the client look for another."""

_FAILURES: Final = 10
"""So many requests failed in a row, and at least as many as are in flight: the endpoint is down."""

_EVERY_REQUEST_S: Final = frozenset({"model", "max_tokens", "temperature"})
"""Parameters that are the same in every request, so that refusing one is refusing all."""

_TOKENS_PER_MESSAGE = 16


class ChatEndpoint:
    """A `Teacher` over HTTP.

    Args:
        spec: as configured; `spec.budget_usd` is held by the ledger.
        key: sent as a bearer token, and shown nowhere; None for no key.
        ledger: of the run.
        http_client: instead of the client's own, for tests.
    """

    def __init__(
        self,
        spec: EndpointTeacher,
        *,
        key: SecretStr | None,
        ledger: Ledger,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._spec = spec
        self._key = key
        self._ledger = ledger
        self._client = openai.AsyncOpenAI(
            api_key=key.get_secret_value() if key else _NO_KEY,
            base_url=spec.base_url,
            max_retries=spec.retries,
            timeout=openai.Timeout(spec.timeout_s, connect=min(spec.timeout_s, _CONNECT_S)),
            http_client=http_client,
        )
        self._places = asyncio.Semaphore(spec.in_flight)
        self._failures = 0

    async def write(self, prompt: Prompt) -> Reply:
        """Replies; see `Teacher.write`. Every reply is a line of the ledger.

        Raises:
            NoReplyError: this request timed out, was refused, or met errors of the server.
            ConfigurationError: the endpoint cannot be reached, refuses the key, the model or a
                parameter, has no quota left, fails all the time, or the budget is reached.
        """
        most_usd = self._spec.usd(_most_prompt_tokens(prompt), prompt.max_new_tokens)
        async with self._places, self._ledger.reserved(most_usd):
            completion = await self._completion(prompt)
            self._pay(prompt, completion, most_usd)
        choice = completion.choices[0]
        usage = completion.usage
        return Reply(
            text=_whole_characters(choice.message.content or "").strip(),
            model=completion.model or self._spec.model,
            finish_reason=choice.finish_reason or "stop",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _completion(self, prompt: Prompt) -> ChatCompletion:
        try:
            completion = await self._client.chat.completions.create(
                model=self._spec.model,
                messages=[_as_sent(message) for message in prompt.messages],
                temperature=prompt.temperature,
                max_tokens=prompt.max_new_tokens,  # the newer name is unknown to many endpoints
            )
        except openai.APITimeoutError:
            raise self._failed(f"no reply within {self._spec.timeout_s} s") from None
        except openai.APIConnectionError as error:
            raise self._stopped(f"cannot be reached: {error.__cause__ or error}") from None
        except openai.APIStatusError as error:
            raise self._judged(error) from None
        except (openai.APIError, json.JSONDecodeError) as error:
            raise self._failed(f"the reply cannot be read: {error}") from None
        # The client checks no types: a page of HTML arrives as a string.
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise self._failed(f"the reply is no chat completion: {str(completion)[:200]!r}")
        self._failures = 0
        return completion

    def _judged(self, error: openai.APIStatusError) -> NesycdError:
        said = f"status {error.status_code}: {error.message[:500]}"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return self._stopped(f"{said}. The key is read from {self._spec.key_variable!r}.")
        if error.code == "insufficient_quota" or error.type == "insufficient_quota":
            return self._stopped(f"the quota is gone; {said}")
        if isinstance(error, openai.NotFoundError):
            return self._stopped(f"{said}. Asked for model {self._spec.model!r}.")
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            if error.param in _EVERY_REQUEST_S or error.code == "model_not_found":
                return self._stopped(said)
            return NoReplyError(self._scrubbed(said))
        return self._failed(said)

    def _failed(self, what: str) -> NesycdError:
        """One request's failure, unless nothing but failures comes back."""
        self._failures += 1
        if self._failures >= max(_FAILURES, self._spec.in_flight):
            return self._stopped(f"{self._failures} requests in a row failed; the last one: {what}")
        return NoReplyError(self._scrubbed(what))

    def _stopped(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            self._scrubbed(f"teacher {self._spec.base_url}: {why}\nAll replies so far are kept.")
        )

    def _scrubbed(self, text: str) -> str:
        """Without the key, which some servers send back."""
        key = self._key.get_secret_value() if self._key else ""
        return text.replace(key, "[key]") if key else text

    def _pay(self, prompt: Prompt, completion: ChatCompletion, most_usd: float) -> None:
        usage = completion.usage
        read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        self._ledger.record(
            Payment(
                endpoint=self._spec.base_url,
                model=self._spec.model,
                question=prompt.question,
                prompt_tokens=read,
                completion_tokens=written,
                usd=self._spec.usd(read, written) if usage else most_usd,
                is_upper_bound=usage is None,
            )
        )


def _as_sent(message: Message) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.text}
        case "user":
            return {"role": "user", "content": message.text}
        case "assistant":
            return {"role": "assistant", "content": message.text}


def _most_prompt_tokens(prompt: Prompt) -> int:
    """No tokenizer makes more tokens than there are bytes, but for the marks of each turn."""
    return sum(len(message.text.encode()) + _TOKENS_PER_MESSAGE for message in prompt.messages)


def _whole_characters(text: str) -> str:
    """The text with U+FFFD for half a surrogate pair, which no file can hold: a reply cut short."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
