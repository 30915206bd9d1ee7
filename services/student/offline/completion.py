"""A completion as it is written, token by token: its text, its gaps, and why it ends."""

from __future__ import annotations

from services.student.offline.token_loops import ends_in_loop
from services.student.protocol import Delta, FinishReason, Sampling, TokenGap
from services.student.token_gaps import TokenTexts


class Completion:
    """One completion under way.

    The rules are those of the vLLM engine: an end-of-text token ends it and has no text, a
    stop string ends it even in its last token, and the limit goes before a loop.

    Args:
        sampling: limits and stop strings.
        texts: the texts of tokens, begun with the prompt's.
        end_ids: tokens that end the text.

    Attributes:
        token_ids: what is written so far.
        finish_reason: None while it goes on.
    """

    def __init__(self, sampling: Sampling, texts: TokenTexts, end_ids: frozenset[int]) -> None:
        self._sampling = sampling
        self._texts = texts
        self._end_ids = end_ids
        self._text = ""
        self._gaps: list[TokenGap] = []
        self._taken_chars = self._taken_tokens = 0
        # What may be the beginning of a stop string is held back.
        self._held_chars = max((len(stop) for stop in sampling.stop), default=1) - 1
        self.token_ids: list[int] = []
        self.finish_reason: FinishReason | None = None

    def add(self, token_id: int, gap: float) -> None:
        """Adds the next token and sets `finish_reason` if it is the last."""
        self.token_ids.append(token_id)
        is_end = token_id in self._end_ids
        text = "" if is_end else self._texts.next(token_id)
        if self._sampling.with_gaps:
            self._gaps.append(TokenGap(text, gap))
        if is_end:
            self.finish_reason = FinishReason.STOP
        elif len(self.token_ids) >= self._sampling.max_new_tokens:
            self.finish_reason = FinishReason.LENGTH
        elif ends_in_loop(self.token_ids):
            self.finish_reason = FinishReason.LOOP
        if text:
            self._add_text(text)

    def take(self) -> Delta:
        """What is new since the last call and may be seen."""
        is_over = self.finish_reason is not None
        end = len(self._text) if is_over else len(self._text) - self._held_chars
        end = max(end, self._taken_chars)
        delta = Delta(
            text=self._text[self._taken_chars : end],
            completion_tokens=len(self.token_ids) - self._taken_tokens,
            gaps=tuple(self._gaps),
            finish_reason=self.finish_reason,
        )
        self._taken_chars, self._taken_tokens = end, len(self.token_ids)
        self._gaps.clear()
        return delta

    def _add_text(self, text: str) -> None:
        before = len(self._text)
        self._text += text
        ends: dict[int, int] = {}
        for stop in self._sampling.stop:
            place = self._text.find(stop, max(0, before - len(stop) + 1))
            if place >= 0:
                # The first of those that end first.
                ends.setdefault(place + len(stop), place)
        if ends:
            self._text = self._text[: ends[min(ends)]]
            self.finish_reason = FinishReason.STOP
