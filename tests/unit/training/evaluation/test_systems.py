"""The table of systems, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.common.records import RetrievalMode
from training.config import EvaluateConfig
from training.evaluation.published import BBH_ABLATIONS
from training.evaluation.systems import SYSTEMS, Role, Variant, refusal


def test_an_unknown_system_is_refused_with_the_known_ones() -> None:
    reason = refusal(("base", "nesycd-always-on"))
    assert reason.startswith("there is no 'nesycd-always-on'; there are base, base-always, std-cot")


def test_a_configuration_with_an_unknown_system_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is no 'oracle'; there are base, "):
        EvaluateConfig(systems=("oracle",))


@pytest.mark.parametrize(
    ("names", "reason"),
    [((), "none is named"), (("base", "std-cot", "base"), "'base' stands twice")],
)
def test_none_or_one_twice_is_refused(names: tuple[str, ...], reason: str) -> None:
    assert refusal(names) == reason


def test_the_default_systems_are_known() -> None:
    assert refusal(EvaluateConfig().systems) == ""


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_what_its_mode_needs(name: str) -> None:
    system = SYSTEMS[name]
    assert (system.mode is RetrievalMode.NEVER) == (system.variant is Variant.NONE)
    assert all(other in SYSTEMS for other in system.against)
    assert system.role is not Role.BARE or name.startswith("base")


def test_the_papers_ablations_are_compared_with_systems_that_exist() -> None:
    assert set(BBH_ABLATIONS) <= set(SYSTEMS)
