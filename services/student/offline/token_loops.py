"""The loops that small students fall into.

Six times the same 4 to 32 tokens in a row is one, while a long number or a row of brackets,
which repeat shorter pieces, is not. The rule is that of the vLLM engine's
`RepetitionDetectionParams` as `vllm_engine` sets it.
"""

from __future__ import annotations

from collections.abc import Sequence

_SHORTEST, _LONGEST = 4, 32  # tokens
_TIMES = 6


def ends_in_loop(token_ids: Sequence[int]) -> bool:
    """Whether the last tokens are one piece six times over. Asked after every token."""
    last = token_ids[-1]
    if last not in token_ids[-1 - _LONGEST : -_SHORTEST]:
        return False  # so it is with most tokens, and this is cheaper than what follows
    for length in range(_SHORTEST, _LONGEST + 1):
        if _TIMES * length > len(token_ids):
            return False
        if token_ids[-1 - length] == last:
            end = len(token_ids)
            start = end - _TIMES * length
            if token_ids[start : end - length] == token_ids[start + length :]:
                return True
    return False
