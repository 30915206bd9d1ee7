"""What every student does before it takes a request: count it, and look at its prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.common.errors import InvalidRequestError, OverloadedError

# A slot frees when any request in flight ends: seconds on a CPU, less on a GPU.
_RETRY_AFTER_S = 1.0


class Admission:
    """An exact bound on the requests in flight, waiting ones included.

    vLLM's own `max_num_queued_reqs` bounds only what has been tokenized already; this one
    also counts requests being tokenized or waiting for an adapter, and refuses before any
    work is done. For one event loop; not for threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds one slot. Raises OverloadedError when none is free."""
        if self.in_flight >= self._limit:
            raise OverloadedError(
                f"the student has {self.in_flight} requests in flight, its limit "
                f"(student.max_queued)",
                retry_after_s=_RETRY_AFTER_S,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


def check_prompt(prompt: str) -> None:
    """Raises InvalidRequestError for a prompt that no tokenizer can take."""
    if not prompt:
        raise InvalidRequestError.of_field("question", "is empty")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError.of_field(
            "question", f"has a lone surrogate at character {error.start}, so it is not text"
        ) from error


def check_length(prompt_tokens: int, max_new_tokens: int, max_model_len: int) -> None:
    """Raises InvalidRequestError when prompt and completion do not fit the model's context."""
    if prompt_tokens + max_new_tokens > max_model_len:
        raise InvalidRequestError.of_field(
            "question",
            f"its prompt of {prompt_tokens} tokens and {max_new_tokens} new tokens "
            f"exceed the model's context of {max_model_len} tokens",
        )
