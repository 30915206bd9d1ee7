"""results.json: every number of an evaluation, from its attempts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation import harness
from training.evaluation.comparison import Comparison, comparisons
from training.evaluation.score import Answered, Score, Share, by_dataset, score

BBH_TRAINED: str = (
    "BBH's train split was trained on, as in the paper, though its authors ask that it stay out "
    "of training corpora: these numbers say nothing about a model that has not seen it."
)
BBH_UNKNOWN: str = (
    "An adapter that `nesycd train` fitted on BBH has seen its train split, as in the paper, "
    "though BBH's authors ask that it stay out of training corpora."
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Benchmark(_Part):
    """Every system on one benchmark."""

    dataset: str
    remark: str = Field("", description="What has to stand beside its numbers.")
    systems: dict[str, Score]
    comparisons: tuple[Comparison, ...]
    harness: dict[str, dict[str, Share]] = Field(
        {}, description="By system, what each filter of lm-evaluation-harness finds right."
    )

    @property
    def tasks(self) -> list[str]:
        """Names of its tasks, sorted."""
        return sorted({task for one in self.systems.values() for task in one.tasks})

    @property
    def has_tasks(self) -> bool:
        """Whether it has several, so that they are worth showing."""
        return len(self.tasks) > 1


class Results(_Part):
    """results.json."""

    student: str = Field(description="Model and engine.")
    max_new_tokens: int
    threshold: float = Field(description="Of the gate.")
    calibration: str = Field(description="Where the threshold comes from.")
    no_harness: str = Field("", description="Why lm-evaluation-harness did not read.")
    benchmarks: tuple[Benchmark, ...]


def benchmarks(
    answered: Mapping[str, Sequence[Answered]], *, trained_on: Collection[str] | None
) -> tuple[Benchmark, ...]:
    """Scores every system on every benchmark.

    Args:
        answered: by system.
        trained_on: profiles whose train split the adapters have seen; None: not known.
    """
    split = {name: by_dataset(rows) for name, rows in answered.items()}
    datasets = sorted({dataset for groups in split.values() for dataset in groups})
    return tuple(
        _benchmark(
            dataset,
            {name: groups[dataset] for name, groups in split.items() if dataset in groups},
            trained_on,
        )
        for dataset in datasets
    )


def _benchmark(
    dataset: str,
    systems: Mapping[str, Sequence[Answered]],
    trained_on: Collection[str] | None,
) -> Benchmark:
    remark = ""
    if dataset == "bbh" and trained_on is None:
        remark = BBH_UNKNOWN
    elif dataset == "bbh" and dataset in (trained_on or ()):
        remark = BBH_TRAINED
    readings = {}
    if not harness.why_absent() and dataset in harness.READINGS:
        readings = {name: harness.read(rows, dataset) for name, rows in systems.items()}
    return Benchmark(
        dataset=dataset,
        remark=remark,
        systems={name: score(rows) for name, rows in systems.items()},
        comparisons=comparisons(systems),
        harness=readings,
    )
