"""The benchmarks: their tasks, licences, splits, and how their rows are read.

Splits (method notes, section 2): BBH has none, so a fifth of each task is kept for testing;
GSM8K, SVAMP and ARC come with theirs; AGIEval has a test split only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from training import config
from training.data.hub_rows import AgievalRow, ArcRow, BbhRow, Gsm8kRow, HubRow, SvampRow

Part = Literal["train", "test"]
"""What questions are for."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A benchmark.

    Attributes:
        name: as in the configuration.
        tasks: all there are, in snake_case.
        licence: of the data, for the cards.
        row: layout of its Hugging Face dataset.
        splits: of that dataset, by what they are for; empty where the one split is divided by
            `draws.kept_for_test`.
        subset: of that dataset, where none is named.
        has_task_subsets: each subset is a task; none named means all.
        wish: what its authors ask of those who train on it.
    """

    name: config.Profile
    tasks: frozenset[str]
    licence: str
    row: type[HubRow]
    splits: Mapping[Part, str] = field(default_factory=lambda: {"train": "train", "test": "test"})
    subset: str = ""
    has_task_subsets: bool = False
    wish: str = ""

    def task_of(self, hub: str, subset: str) -> str:
        """The task of the rows of a Hugging Face dataset; not checked to be one of `tasks`."""
        if len(self.tasks) == 1:
            return next(iter(self.tasks))
        name = subset or hub.rpartition("/")[2]
        return re.sub(r"[^a-z0-9]+", "_", name.lower()).removeprefix(f"{self.name}_")


_BBH_TASKS: Final = frozenset(
    {
        "boolean_expressions",
        "causal_judgement",
        "date_understanding",
        "disambiguation_qa",
        "dyck_languages",
        "formal_fallacies",
        "geometric_shapes",
        "hyperbaton",
        "logical_deduction_five_objects",
        "logical_deduction_seven_objects",
        "logical_deduction_three_objects",
        "movie_recommendation",
        "multistep_arithmetic_two",
        "navigate",
        "object_counting",
        "penguins_in_a_table",
        "reasoning_about_colored_objects",
        "ruin_names",
        "salient_translation_error_detection",
        "snarks",
        "sports_understanding",
        "temporal_sequences",
        "tracking_shuffled_objects_five_objects",
        "tracking_shuffled_objects_seven_objects",
        "tracking_shuffled_objects_three_objects",
        "web_of_lies",
        "word_sorting",
    }
)

_AGIEVAL_TASKS: Final = frozenset(
    {
        "aqua_rat",
        "logiqa_en",
        "lsat_ar",
        "lsat_lr",
        "lsat_rc",
        "sat_math",
        "sat_en",
        "sat_en_without_passage",
    }
)

_ALL: Final = (
    Profile(
        name="bbh",
        tasks=_BBH_TASKS,
        licence="MIT (suzgunmirac/BIG-Bench-Hard)",
        row=BbhRow,
        splits={},
        has_task_subsets=True,
        wish="The authors of BIG-Bench Hard ask that it stay out of training corpora. What is "
        "fitted on this file was trained on the train part of BBH, as in the paper: say so "
        "wherever a BBH score of it stands.",
    ),
    Profile(
        name="gsm8k",
        tasks=frozenset({"gsm8k"}),
        licence="MIT (openai/grade-school-math)",
        row=Gsm8kRow,
        subset="main",
    ),
    Profile(
        name="agieval",
        tasks=_AGIEVAL_TASKS,
        licence="MIT (ruixiangcui/AGIEval); the exams may fall under their makers' terms",
        row=AgievalRow,
        splits={"test": "test"},
    ),
    Profile(
        name="arc_easy",
        tasks=frozenset({"arc_easy"}),
        licence="CC BY-SA 4.0 (allenai/ai2_arc)",
        row=ArcRow,
        subset="ARC-Easy",
    ),
    Profile(
        name="arc_challenge",
        tasks=frozenset({"arc_challenge"}),
        licence="CC BY-SA 4.0 (allenai/ai2_arc)",
        row=ArcRow,
        subset="ARC-Challenge",
    ),
    Profile(
        name="svamp",
        tasks=frozenset({"svamp"}),
        licence="MIT (arkilpatel/SVAMP); the copy in lqtrung1998/mwp_ReFT: Apache-2.0",
        row=SvampRow,
    ),
)

PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in _ALL}
