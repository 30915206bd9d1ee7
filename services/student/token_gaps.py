"""From an engine's top log-probabilities to the gap per token that the gate reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


def gap(logprobs: Iterable[float]) -> float:
    """p(best) - p(second best), 0 to 1, of one place.

    `logprobs` are natural logarithms of the best two and perhaps of the written token too,
    in any order: under greedy decoding that one is among the best, or ties with them.
    """
    best, second = sorted(logprobs, reverse=True)[:2]
    return min(max(math.exp(best) - math.exp(second), 0.0), 1.0)


class TokenTexts:
    """Cuts a completion's text into its tokens, keeping spaces and characters whole.

    A token decoded alone loses its leading space in SentencePiece vocabularies and is
    replaced by U+FFFD when it is part of a character, so tokens are decoded as a stream.

    Args:
        tokenizer: the model's, from the tokenizers library.
        prompt_token_ids: what comes before the completion.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_token_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._stream: Any = DecodeStream(ids=list(prompt_token_ids), skip_special_tokens=True)

    def next(self, token_id: int) -> str:
        """The text that this token adds; "" while a character is unfinished."""
        try:
            return self._stream.step(self._tokenizer, token_id) or ""
        except Exception:  # noqa: BLE001  # tokenizers raises no narrower class
            # Invalid UTF-8 breaks the stream's state (vLLM issue 17448); begin a new one.
            self._stream = DecodeStream(skip_special_tokens=True)
            return self._stream.step(self._tokenizer, token_id) or ""
