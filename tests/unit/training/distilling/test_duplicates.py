"""What is merged, and what stays because it is the way to the same knowledge from elsewhere."""

import pytest

from services.common.records import Entry, Fact, Note
from services.knowledge.fake import HashEmbedder
from training.distilling.duplicates import merge_notes
from training.distilling.entries import Rejection, Sorted


def note(key, question, said, task="sums"):
    return Entry(f"note.{key}", 1, task, question, Note((said,), ("So.",)), key, "big")


def merged(*entries, similarity=0.98):
    found = Sorted(entries=list(entries))
    merge_notes(found, HashEmbedder(), similarity=similarity)
    return [one.id for one in found.entries], found.rejected


SUM, SHARE = "How many apples do they have?", "Who gets the larger share of bread?"


def test_the_same_note_of_the_same_question_is_merged_into_the_first():
    ids, rejected = merged(note("a", SUM, "Add all."), note("b", SUM, "Add all."))
    assert ids == ["note.a"]
    (row,) = rejected
    assert (row.key, row.cause, row.question) == ("note.b", Rejection.DUPLICATE, "b")
    assert "note.a" in row.reason


def test_the_same_note_of_another_question_stays_so_that_both_find_it():
    ids, rejected = merged(note("a", SUM, "Add all."), note("b", SHARE, "Add all."))
    assert ids == ["note.a", "note.b"]
    assert rejected == []


def test_another_note_of_the_same_question_stays():
    ids, _ = merged(note("a", SUM, "Add all."), note("b", SUM, "Draw a picture first."))
    assert ids == ["note.a", "note.b"]


def test_tasks_are_not_merged_with_each_other():
    ids, _ = merged(note("a", SUM, "Add."), note("b", SUM, "Add.", task="others"))
    assert ids == ["note.a", "note.b"]


@pytest.mark.parametrize("similarity", [1.0, 0.9])
def test_of_many_copies_one_stays(similarity):
    copies = [note(f"{n:03}", SUM, "Add all.") for n in range(150)]
    ids, rejected = merged(*copies, similarity=similarity)
    assert "note.000" in ids
    assert len(ids) + len(rejected) == 150
    assert len(ids) == 1


def test_facts_are_left_alone():
    fact = Entry("fact.a", 1, "sums", SUM, Fact("a", "is_a", "b"), "a", "big")
    assert merged(fact) == (["fact.a"], [])


def test_who_stays_says_the_same_as_all_that_go_for_it():
    texts = [f"{' '.join(f'w{n}' for n in range(start, start + 30))}." for start in range(12)]
    notes = [note(f"{n:03}", SUM, text) for n, text in enumerate(texts)]
    ids, rejected = merged(*notes, similarity=0.9)
    vectors = dict(
        zip(
            [one.id for one in notes],
            HashEmbedder().embed([one.text for one in notes]),
            strict=True,
        )
    )
    assert 1 < len(ids) < 12
    for row in rejected:
        stays = row.reason.split()[5].rstrip(",")
        assert stays in ids
        assert vectors[stays] @ vectors[row.key] >= 0.9
