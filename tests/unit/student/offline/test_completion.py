"""How a completion ends, and what of it may be seen before."""

from __future__ import annotations

from functools import cache

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from services.student.offline.completion import Completion
from services.student.protocol import Delta, FinishReason, Sampling, TokenGap
from services.student.token_gaps import TokenTexts

END = 0


@cache
def tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"</s>": END} | {letter: place for place, letter in enumerate(alphabet, 1)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["</s>"])
    return made


def written(text: str, sampling: Sampling, *more: int) -> tuple[Completion, list[Delta]]:
    """Adds tokens until the completion ends; what was taken after each."""
    completion = Completion(sampling, TokenTexts(tokenizer(), []), frozenset({END}))
    deltas = []
    for token_id in [*tokenizer().encode(text).ids, *more]:
        completion.add(token_id, 0.5)
        deltas.append(completion.take())
        if completion.finish_reason:
            break
    return completion, deltas


def joined(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_an_end_token_ends_the_text_and_is_counted() -> None:
    _, deltas = written("ab", Sampling(9, with_gaps=True), END, 5)
    assert joined(deltas) == "ab"
    assert deltas[-1] == Delta("", 1, gaps=(TokenGap("", 0.5),), finish_reason=FinishReason.STOP)


def test_the_limit_is_exact() -> None:
    _, deltas = written("abcdef", Sampling(3))
    assert joined(deltas) == "abc"
    assert [delta.finish_reason for delta in deltas] == [None, None, FinishReason.LENGTH]


def test_a_loop_ends_it() -> None:
    completion, deltas = written("x" + "abcd" * 9, Sampling(99))
    assert joined(deltas) == "x" + "abcd" * 6
    assert completion.finish_reason is FinishReason.LOOP


def test_what_may_begin_a_stop_string_is_held_back() -> None:
    _, deltas = written("one\nQ.\nQ:two", Sampling(99, stop=("\nQ:",)))
    assert joined(deltas) == "one\nQ."
    assert joined(deltas[:5]) == "one"
    assert deltas[-1].finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("stops", "text"), [(("d", "bc"), "a"), (("cd", "bcd"), "ab"), (("bcd", "cd"), "a")]
)
def test_the_stop_string_that_ends_first_counts_and_of_those_the_first(
    stops: tuple[str, ...], text: str
) -> None:
    assert joined(written("abcde", Sampling(99, stop=stops))[1]) == text


def test_a_stop_string_in_the_last_token_goes_before_the_limit() -> None:
    completion, deltas = written("abc", Sampling(3, stop=("c",)))
    assert joined(deltas) == "ab"
    assert completion.finish_reason is FinishReason.STOP


def test_half_a_character_has_no_text() -> None:
    _, deltas = written("a語b", Sampling(3, with_gaps=True))
    assert joined(deltas) == "a"
    gaps = [token for delta in deltas for token in delta.gaps]
    assert [token.text for token in gaps] == ["a", "", ""]
    assert deltas[-1].finish_reason is FinishReason.LENGTH


def test_gaps_are_kept_only_when_asked_for() -> None:
    assert all(delta.gaps == () for delta in written("abc", Sampling(9))[1])
