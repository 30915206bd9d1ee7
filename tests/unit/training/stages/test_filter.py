from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.data.questions import write
from tests.unit.training.stages.first_stages import FirstStages, rows

TEXTS: dict[int, str | None] = {
    1: "We walk back. So the answer is No.",
    2: "We stay. So the answer is Yes.",
    3: "We walk and walk.",
    4: None,
    5: "So the answer is No.",
    6: "Right.\n\nTherefore, the answer is: **No**",
}


@pytest.fixture
def stages(tmp_path: Path) -> FirstStages:
    made = FirstStages(tmp_path)
    made.write_recorded(TEXTS.get)
    return made


def test_right_rationales_are_kept_and_others_rejected_with_the_reason(
    stages: FirstStages,
) -> None:
    folder, manifest = stages.result("filter")
    assert [(one["key"][-3:], one["text"]) for one in rows(folder / "kept.jsonl")] == [
        ("1#0", "We walk back.\nTherefore, the answer is No."),
        ("6#0", "Right.\nTherefore, the answer is No."),
    ]
    rejected = rows(folder / "rejected.jsonl")
    assert [(one["key"][-3:], one["reason"]) for one in rejected] == [
        ("2#0", "wrong answer"),
        ("3#0", "no answer"),
        ("5#0", "no reasoning"),
    ]
    assert rejected[0]["text"] == TEXTS[2]
    assert manifest.counts == {
        "kept": 2,
        "rejected": 3,
        "kept_share": 0.4,
        "questions": 2,
        "rejected, wrong answer": 1,
        "rejected, no answer": 1,
        "rejected, no reasoning": 1,
    }
    card = (folder / "card.md").read_text()
    assert "| benchmark | task | kept | rejected | share kept |" in card
    assert "| bbh | navigate | 2 | 3 | 40% |" in card
    assert "stay out of training corpora" in card


def test_the_result_does_not_depend_on_the_order_in_which_rationales_came(
    stages: FirstStages,
) -> None:
    folder, _ = stages.result("filter")
    kept = (folder / "kept.jsonl").read_bytes()
    (taught,) = (stages.folder / "run").glob("teach-*")
    lines = (taught / "rationales.jsonl").read_text().splitlines(keepends=True)
    (taught / "rationales.jsonl").write_text("".join(reversed(lines)))
    (taught / "manifest.json").unlink()
    again, _ = stages.result("filter")
    assert again != folder  # of other inputs, so in another folder
    assert (again / "kept.jsonl").read_bytes() == kept


def test_a_sample_that_says_the_same_is_kept_once(stages: FirstStages) -> None:
    (first, *_) = rows(stages.recorded)
    write(stages.recorded, first, first, first | {"rationale": "Other. So the answer is No."})
    config = stages.config(
        teach={"teacher": {"kind": "recorded", "paths": [stages.recorded]}, "samples": 3}
    )
    folder, _ = stages.result("filter", config)
    assert [one["key"][-2:] for one in rows(folder / "kept.jsonl")] == ["#0", "#2"]
    (rejected,) = rows(folder / "rejected.jsonl")
    assert (rejected["key"][-2:], rejected["reason"]) == ("#1", "same as another sample")


def test_nothing_kept_is_an_error_that_says_what_was_wrong(stages: FirstStages) -> None:
    config = stages.config({"kind": "scripted"})
    with pytest.raises(ConfigurationError, match=r"not one of 6 .*\(wrong answer: 6\); see") as one:
        stages.run("filter", config)
    assert len(rows(Path(str(one.value).rpartition("see ")[2]))) == 6
