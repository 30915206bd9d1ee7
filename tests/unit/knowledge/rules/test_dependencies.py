"""Which predicate rests on which."""

from __future__ import annotations

from services.knowledge.rules.dependencies import layers, shortest_path
from services.knowledge.rules.parsing import parse_rule

RULES = [
    parse_rule(text)
    for text in (
        "top(X) :- even(X), not lonely(X).",
        "even(X) :- odd(Y), next(Y, X).",
        "odd(X) :- even(Y), next(Y, X).",
        "odd(X) :- odd(X), given(X, _).",
        "lonely(X) :- given(X, _), not odd(X).",
    )
]


def test_predicates_that_rest_on_each_other_are_one_group_after_what_it_rests_on() -> None:
    assert layers(RULES) == [{"even", "odd"}, {"lonely"}, {"top"}]


def test_two_cycles_that_share_no_predicate_are_two_groups() -> None:
    texts = ["a(X) :- b(X).", "b(X) :- a(X), c(X).", "c(X) :- d(X).", "d(X) :- c(X)."]
    assert layers(map(parse_rule, texts)) == [{"c", "d"}, {"a", "b"}]


def test_the_shortest_way_is_found() -> None:
    assert shortest_path(RULES, "top", "odd") == ["top", "even", "odd"]
    assert shortest_path(RULES, "odd", "odd") == ["odd"]
    assert shortest_path(RULES, "odd", "top") == []
