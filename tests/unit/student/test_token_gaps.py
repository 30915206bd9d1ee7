from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from services.student.token_gaps import TokenTexts, gap


def test_the_gap_is_between_the_best_two_in_any_order() -> None:
    assert gap([math.log(0.2), math.log(0.7), math.log(0.1)]) == pytest.approx(0.5)
    assert gap([0.0, float("-inf")]) == 1.0
    assert gap([math.log(0.5), math.log(0.5)]) == 0.0


@given(st.lists(st.floats(max_value=1e-6), min_size=2, max_size=3))
def test_a_gap_is_a_probability(logprobs: list[float]) -> None:
    assert 0.0 <= gap(logprobs) <= 1.0


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@given(st.text(min_size=1))
def test_the_texts_of_tokens_join_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    prompt = tokenizer.encode("The answer is").ids
    texts = TokenTexts(tokenizer, prompt)
    assert "".join(texts.next(token) for token in tokenizer.encode(text).ids) == text


@given(st.lists(st.integers(0, 255)), st.lists(st.integers(0, 255)))
def test_tokens_that_are_no_utf8_do_not_fail(
    tokenizer: Tokenizer, prompt: list[int], tokens: list[int]
) -> None:
    texts = TokenTexts(tokenizer, prompt)
    for token in tokens:
        texts.next(token)


def test_a_character_stands_with_its_last_token(tokenizer: Tokenizer) -> None:
    texts = TokenTexts(tokenizer, [])
    assert [texts.next(token) for token in tokenizer.encode(" 語").ids] == [" ", "", "", "語"]
