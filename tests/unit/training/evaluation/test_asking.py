"""Named systems answer through the pipeline that serves, and a broken-off run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.common.records import RetrievalMode
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from tests.unit.training.evaluation.attempts import question
from tests.unit.training.evaluation.scripted import Room, made_adapters, made_dump, made_room
from training.evaluation.asking import Setup, ask, named_systems
from training.evaluation.score import Answered
from training.evaluation.systems import SYSTEMS, Role, Variant
from training.progress import Progress

QUESTIONS = [question(number) for number in (1, 5, 20, 30)]
QUIET = Progress(quiet=True)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return made_room(monkeypatch)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(
        student=StudentSettings(
            backend="scripted", adapters_dir=made_adapters(tmp_path / "adapters")
        ),
        reasoner=ReasonerSettings(),
        knowledge=KnowledgeSettings(),
        scratch=tmp_path / "scratch",
        max_new_tokens=64,
        threshold=0.5,
        dump=made_dump(tmp_path / "dump"),
    )


def _ask(setup: Setup, path: Path, *names: str) -> dict[str, list[Answered]]:
    systems = named_systems(names, setup)
    return ask(
        systems,
        QUESTIONS,
        setup,
        path / "attempts.jsonl",
        in_flight=1,
        progress=QUIET,
    )


def _right(answered: dict[str, list[Answered]]) -> dict[str, list[bool]]:
    return {name: [one.attempt.correct for one in rows] for name, rows in answered.items()}


def test_each_system_answers_in_its_own_way(room: Room, setup: Setup, tmp_path: Path) -> None:
    found = _ask(setup, tmp_path, "std-cot", "nesycd-always", "nesycd-adaptive", "nesycd-gold")
    assert _right(found) == {
        "std-cot": [False] * 4,
        "nesycd-always": [True] * 4,
        "nesycd-adaptive": [True] * 4,
        "nesycd-gold": [True] * 4,
    }
    assert [one.attempt.decision for one in found["nesycd-adaptive"]] == [
        "direct",
        "direct",
        "reason_with_knowledge",
        "reason_with_knowledge",
    ]


def test_a_question_never_finds_the_entry_made_from_itself(
    room: Room, setup: Setup, tmp_path: Path
) -> None:
    found = _ask(setup, tmp_path, "nesycd-always")["nesycd-always"]
    shown = {one.question.key: one.attempt.knowledge for one in found}
    assert "a" not in shown["svamp-1"]
    assert "b" not in shown["svamp-20"]
    assert all(len(ids) == 1 for ids in shown.values())


def test_ablations_and_controls_are_shown_other_knowledge(
    room: Room, setup: Setup, tmp_path: Path
) -> None:
    found = _ask(
        setup, tmp_path, "nesycd-m2", "nesycd-without-summary", "nesycd-without-supplement"
    )
    assert all(len(one.attempt.knowledge) == 2 for one in found["nesycd-m2"])
    per_system = len(QUESTIONS)
    prompts = room.prompts
    assert all("Learning summary:" in one for one in prompts[:per_system])
    assert not any("Learning summary:" in one for one in prompts[per_system : 2 * per_system])
    assert not any("Supplementary" in one for one in prompts[2 * per_system :])


def test_legs_are_searched_alone(setup: Setup) -> None:
    lexical, vector = (setup.knowledge_for(one) for one in (Variant.LEXICAL, Variant.VECTOR))
    assert (lexical.lexical_weight, lexical.vector_weight) == (1, 0)
    assert (vector.lexical_weight, vector.vector_weight) == (0, 1)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_made_of_its_row(name: str, setup: Setup) -> None:
    made = setup.system(name)
    assert made.adapter == SYSTEMS[name].role.value
    assert made.exclude_own
    if made.mode is RetrievalMode.ADAPTIVE:
        assert made.gate_threshold == (0.68 if name == "nesycd-paper-gate" else 0.5)
    else:
        assert made.gate_threshold is None


def test_an_adapter_of_another_name_takes_the_role(setup: Setup) -> None:
    other = Setup(
        student=setup.student,
        reasoner=setup.reasoner,
        knowledge=setup.knowledge,
        scratch=setup.scratch,
        max_new_tokens=64,
        threshold=0.5,
        adapters={Role.S_E: "nesycd@v3"},
    )
    assert other.system("nesycd-never").adapter == "nesycd@v3"
    assert other.system("base").adapter == ""


def test_without_a_dump_only_systems_without_knowledge_answer(
    room: Room, setup: Setup, tmp_path: Path
) -> None:
    bare = Setup(
        student=setup.student,
        reasoner=setup.reasoner,
        knowledge=setup.knowledge,
        scratch=setup.scratch,
        max_new_tokens=64,
        threshold=0.5,
    )
    assert _right(_ask(bare, tmp_path, "nesycd-gold")) == {"nesycd-gold": [True] * 4}
    with pytest.raises(ConfigurationError, match=r"^dump: "):
        _ask(bare, tmp_path, "nesycd-always")


def test_a_broken_off_run_goes_on_where_it_was(room: Room, setup: Setup, tmp_path: Path) -> None:
    room.breaks_at = 3
    with pytest.raises(KeyboardInterrupt):
        _ask(setup, tmp_path, "std-cot", "nesycd-never")
    room.breaks_at = None
    found = _ask(setup, tmp_path, "std-cot", "nesycd-never")
    assert len(room.prompts) == 8  # none was written to twice
    lines = (tmp_path / "attempts.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert sorted(keys) == sorted(
        f"{name}/{one.key}" for name in ("std-cot", "nesycd-never") for one in QUESTIONS
    )
    assert [one.question.key for one in found["std-cot"]] == [one.key for one in QUESTIONS]


def test_what_is_answered_already_starts_no_engine(
    room: Room, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _ask(setup, tmp_path, "base")
    monkeypatch.setattr("training.answering.open_student", None)
    assert _ask(setup, tmp_path, "base") == first


def test_answers_that_failed_are_named_and_tried_again(
    room: Room, setup: Setup, tmp_path: Path
) -> None:
    key = f"base/{QUESTIONS[1].key}"
    rows = [{"key": key, "question": QUESTIONS[1].key, "error": "degraded: it broke"}]
    path = tmp_path / "attempts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _right(_ask(setup, tmp_path, "base")) == {"base": [False] * 4}


def test_answers_that_fail_again_are_no_result(
    room: Room, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.answering.BUDGET_S", 1e-9)
    with pytest.raises(ConfigurationError) as raised:
        _ask(setup, tmp_path, "base")
    assert raised.value.message.startswith(
        f"{tmp_path}/attempts.jsonl: 4 of 4 answers failed, first base/svamp-1: "
    )
