import math

import numpy as np
import pytest

from services.knowledge.embedded.keyword_index import TERM_LIMIT, KeywordIndex, Tokens
from services.knowledge.terms import terms


def test_terms_are_lower_case_words_and_numbers_without_stop_words() -> None:
    assert terms("How many of the Apples, at 2.5 each -- OR pears_1?") == [
        *("many", "apples", "2", "5"),
        *("pears", "1"),
    ]
    assert terms("the of and \x00 ((") == []
    assert terms("Größe 日本") == ["größe", "日本"]


def test_scores_are_bm25_as_computed_by_hand() -> None:
    index = KeywordIndex(Tokens.of(["red apple", "red red pear tree", "plum"]))
    # "red": in 2 of 3 questions; lengths 2, 4, 1, mean 7/3.
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 7 / 3

    def part(frequency: int, length: int) -> float:
        return idf * frequency / (frequency + 1.2 * (0.25 + 0.75 * length / mean))

    assert index.scores("red") == pytest.approx([part(1, 2), part(2, 4), 0], rel=1e-6)
    # A term said twice counts once, and unknown ones not at all.
    assert index.scores("Red, red and blue") == pytest.approx(index.scores("red"))


def test_of_a_long_question_the_rarest_terms_are_looked_up() -> None:
    common = [f"common{i}" for i in range(TERM_LIMIT)]
    index = KeywordIndex(Tokens.of([" ".join(common), " ".join(common), "rare"]))
    assert index.scores(" ".join([*common, "rare"]))[2] > 0


@pytest.mark.parametrize("questions", [[], [""], ["the of", ""]])
def test_releases_without_words_score_zero(questions: list[str]) -> None:
    scores = KeywordIndex(Tokens.of(questions)).scores("apples")
    assert scores.dtype == np.float32
    assert scores.tolist() == [0.0] * len(questions)


def test_an_index_made_of_another_scores_as_one_made_anew() -> None:
    before = Tokens.of(["red apple", "gone", "", "red red pear tree"])
    later = Tokens.of(["plum tree", "blue"], known=before.terms)
    order = [4, 3, 5, 2, 0]
    pool = ["red apple", "gone", "", "red red pear tree", "plum tree", "blue"]
    anew = KeywordIndex(Tokens.of([pool[n] for n in order]))
    updated = KeywordIndex(before.followed_by(later).of_rows(np.array(order)))
    many = " ".join(f"word{n}" for n in range(TERM_LIMIT))
    for question in ("red", "gone tree", "blue plum apple red", "gone", f"{many} gone tree"):
        assert np.array_equal(updated.scores(question), anew.scores(question))
