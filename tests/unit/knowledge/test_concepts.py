from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.knowledge.concepts import LONGEST_NAME, concept_key, mentioned


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("New York", "new  york"),
        ("New York", "\tNEW_YORK\n"),
        ("ﬁsh", "FISH"),
        ("Straße", "STRASSE"),
        ("e\u0301cole", "École"),
        ("H₂O", "h2o"),
    ],
)
def test_spellings_of_one_concept_have_one_key(one: str, other: str) -> None:
    assert concept_key(one) == concept_key(other)


def test_other_concepts_have_other_keys() -> None:
    names = ["C", "C++", "C#", "new york", "newyork", "résumé", "resume"]
    assert len({concept_key(name) for name in names}) == len(names)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    key = concept_key(text)
    assert concept_key(key) == key or not text.isascii()
    assert "_" not in key
    assert key == key.strip()


def test_a_text_may_mention_every_run_of_its_words_each_once() -> None:
    assert mentioned("The Eiffel_Tower, the") == [
        "the",
        "the eiffel",
        "the eiffel tower",
        "the eiffel tower the",
        "eiffel",
        "eiffel tower",
        "eiffel tower the",
        "tower",
        "tower the",
    ]
    assert mentioned(" ?! ") == []


def test_runs_have_a_longest_length() -> None:
    words = [f"w{n}" for n in range(20)]
    runs = mentioned(" ".join(words))
    assert max(len(run.split()) for run in runs) == LONGEST_NAME
    assert " ".join(words[3 : 3 + LONGEST_NAME]) in runs
    # As many as there are places: a long question stays cheap.
    assert len(mentioned(" ".join(f"w{n}" for n in range(1600)))) < 1600 * LONGEST_NAME


@given(st.text(alphabet=st.sampled_from("ab é_-+7 \n"), max_size=20), st.text(), st.text())
def test_a_name_of_words_is_found_in_any_sentence(name: str, before: str, after: str) -> None:
    runs = mentioned(name)
    words = [run for run in runs if " " not in run]
    sentence = mentioned(f"{before} | {name} | {after}")
    assert set(words) <= set(sentence)
