from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from training.data.card import Card, licences, wishes

CARD = Card(
    title="Questions",
    about=["First.", "Second."],
    facts={"Licence": "MIT", "Seed": "0"},
    columns=("task", "train"),
    rows=[("navigate", 3), ("all", 3)],
)


def test_a_card_is_a_page_of_markdown(tmp_path: Path) -> None:
    CARD.write(tmp_path)
    assert (tmp_path / "card.md").read_text() == (
        "# Questions\n\nFirst.\n\nSecond.\n\n- **Licence**: MIT\n- **Seed**: 0\n\n"
        "| task | train |\n| --- | --- |\n| navigate | 3 |\n| all | 3 |\n"
    )


def test_a_card_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"card\.md cannot be written: No such file"):
        CARD.write(tmp_path / "nowhere")


def test_licences_and_wishes_are_of_the_benchmarks_in_the_file() -> None:
    assert licences(["gsm8k"]) == "gsm8k: MIT (openai/grade-school-math)"
    assert licences(["svamp", "bbh"]).startswith("bbh: MIT")
    assert wishes(["gsm8k"]) == []
    assert len(wishes(["gsm8k", "bbh"])) == 1
