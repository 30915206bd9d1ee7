"""The systems that can be evaluated: a name, what it is, and how it answers.

Everything that changes only the answering is here. Ablations that change the fitting (without
AD, without AP and DC) are other configurations: set `mix.task_weights`, say
`{AD = 0, AP = 1, DC = 1}` and `{AD = 1, AP = 0, DC = 0}`, and run them in the same run folder.
They share all stages before the mix, since those have the same keys, and the answers of systems
that the mix does not touch (evaluation/earlier.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.common.records import RetrievalMode


class Role(StrEnum):
    """Which weights answer; the value is the adapter that a run makes."""

    BARE = ""
    S_P = "sp@v1"
    S_E = "se@v1"


class Variant(StrEnum):
    """Which knowledge it is given, and how that is looked for."""

    NONE = ""
    SEARCH = "search"
    LEXICAL = "lexical"
    VECTOR = "vector"
    WITHOUT_SUMMARY = "without-summary"
    WITHOUT_SUPPLEMENT = "without-supplement"
    SHUFFLED = "shuffled"
    GOLD = "gold"


class Gate(StrEnum):
    """Whose threshold an adaptive system goes by."""

    CALIBRATED = "calibrated"
    PAPER = "paper"


PAPER_THRESHOLD: Final = 0.68
"""NesyCD, Inference."""


@dataclass(frozen=True, slots=True)
class NamedSystem:
    """One way to answer.

    Attributes:
        about: in words, for the report.
        role: which weights.
        mode: when knowledge is used.
        variant: which knowledge.
        top_k: entries in the prompt (m in the paper).
        gate: whose threshold; read in mode ADAPTIVE only.
        against: systems that it is compared with, question by question.
    """

    about: str
    role: Role
    mode: RetrievalMode
    variant: Variant = Variant.NONE
    top_k: int = 1
    gate: Gate = Gate.CALIBRATED
    against: tuple[str, ...] = ()

    @property
    def is_calibrated(self) -> bool:
        """Whether its answers depend on the calibrated threshold."""
        return self.mode is RetrievalMode.ADAPTIVE and self.gate is Gate.CALIBRATED


_NEVER, _ALWAYS, _ADAPTIVE = RetrievalMode.NEVER, RetrievalMode.ALWAYS, RetrievalMode.ADAPTIVE


def _ablation(about: str, variant: Variant = Variant.SEARCH, *, top_k: int = 1) -> NamedSystem:
    """S_E with other knowledge on every question, so that the gate blurs nothing."""
    return NamedSystem(about, Role.S_E, _ALWAYS, variant, top_k, against=("nesycd-always",))


SYSTEMS: Final[Mapping[str, NamedSystem]] = {
    "base": NamedSystem("the bare model", Role.BARE, _NEVER),
    "base-always": NamedSystem(
        "the bare model with knowledge",
        Role.BARE,
        _ALWAYS,
        Variant.SEARCH,
        against=("base",),
    ),
    "std-cot": NamedSystem(
        "S_P: general distillation, no knowledge", Role.S_P, _NEVER, against=("base",)
    ),
    "std-cot-knowledge": NamedSystem(
        "S_P, knowledge added at inference only",
        Role.S_P,
        _ALWAYS,
        Variant.SEARCH,
        against=("std-cot",),
    ),
    "nesycd-never": NamedSystem("S_E without knowledge", Role.S_E, _NEVER, against=("std-cot",)),
    "nesycd-always": NamedSystem(
        "S_E with knowledge on every question",
        Role.S_E,
        _ALWAYS,
        Variant.SEARCH,
        against=("std-cot", "nesycd-never"),
    ),
    "nesycd-adaptive": NamedSystem(
        "S_E, knowledge where the gate is unsure; threshold calibrated",
        Role.S_E,
        _ADAPTIVE,
        Variant.SEARCH,
        against=("std-cot", "nesycd-always"),
    ),
    "nesycd-paper-gate": NamedSystem(
        f"nesycd-adaptive with the paper's threshold, {PAPER_THRESHOLD}",
        Role.S_E,
        _ADAPTIVE,
        Variant.SEARCH,
        gate=Gate.PAPER,
        against=("std-cot", "nesycd-adaptive"),
    ),
    "nesycd-m2": _ablation("nesycd-always with 2 entries", top_k=2),
    "nesycd-m3": _ablation("nesycd-always with 3 entries", top_k=3),
    "nesycd-lexical": _ablation("nesycd-always, keyword search alone", Variant.LEXICAL),
    "nesycd-vector": _ablation("nesycd-always, vector search alone", Variant.VECTOR),
    "nesycd-without-summary": _ablation(
        "nesycd-always, notes without their learning summary", Variant.WITHOUT_SUMMARY
    ),
    "nesycd-without-supplement": _ablation(
        "nesycd-always, notes without their supplementary knowledge", Variant.WITHOUT_SUPPLEMENT
    ),
    "nesycd-shuffled": _ablation("control: some other entry than the one found", Variant.SHUFFLED),
    "nesycd-gold": _ablation("control: a hint that says the gold answer", Variant.GOLD),
}
"""By name, in the order of a report."""


def refusal(names: Sequence[str]) -> str:
    """Why these names cannot be evaluated, in words; "" if they can."""
    if not names:
        return "none is named"
    for place, name in enumerate(names):
        if name not in SYSTEMS:
            return f"there is no {name!r}; there are {', '.join(SYSTEMS)}"
        if name in names[:place]:
            return f"{name!r} stands twice"
    return ""
