"""What the queries are made of, without a server."""

from __future__ import annotations

import inspect
import re

import pytest

from services.common.records import EntryKind
from services.knowledge.neo4j import queries


def texts() -> dict[str, str]:
    """Every query by name."""
    found = {name: text for name, text in vars(queries).items() if isinstance(text, str)}
    found |= {
        f"{name} {n}": text
        for name, statements in queries.MIGRATIONS
        for n, text in enumerate(statements)
    }
    found["exact"] = queries.exact_search(7, [*EntryKind], by_task=True)
    found["create"] = queries.create_revisions(7, EntryKind.FACT)
    return {name: text for name, text in found.items() if not name.startswith("__")}


@pytest.mark.parametrize(
    "build",
    [
        lambda space: queries.exact_search(space, EntryKind, by_task=False),
        queries.remove_revisions,
        queries.index_names,
        queries.drop_indexes,
        queries.end_what_base_lacks,
        queries.bring_back_from_base,
    ],
)
def test_a_space_is_a_whole_number_and_nothing_else(build):
    with pytest.raises(ValueError, match="format code 'd'"):
        build("7 DETACH DELETE n")


@pytest.mark.parametrize("name", texts())
def test_no_placeholder_is_left_open(name):
    assert not re.search(r"\{_|\{\{|\}\}|None", texts()[name])


def test_migrations_may_run_twice():
    for _, statements in queries.MIGRATIONS:
        for statement in statements:
            assert " IF NOT EXISTS " in statement


def test_no_other_module_of_the_store_holds_cypher():
    from services.knowledge.neo4j import (
        claims,
        connection,
        deriving,
        editing,
        loading,
        migrations,
        releases,
        rows,
        searching,
        store,
        uses,
        writing,
    )

    for module in (
        claims,
        connection,
        deriving,
        editing,
        loading,
        migrations,
        releases,
        rows,
        searching,
        store,
        uses,
        writing,
    ):
        assert not re.search(r"\b(MATCH|MERGE|UNWIND) ", inspect.getsource(module))
