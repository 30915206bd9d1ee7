"""Stage `data`: the questions to learn from, to calibrate on, and to be tested with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from training.config import Config, Source
from training.data.card import Card, licences, wishes
from training.data.parts import Parts, load_parts
from training.manifest import Value
from training.row_file import write_rows
from training.stage import Estimate, Job

_ABOUT: Final = (
    "`train.jsonl` is learnt from, `dev.jsonl` calibrates the gate, `test.jsonl` is only "
    "evaluated on. No text stands in two of them."
)


class Data:
    """Reads, draws and separates; see `parts.load_parts`."""

    name = "data"
    needs: tuple[str, ...] = ()

    def settings(self, config: Config) -> dict[str, object]:
        """Sources and draws. Files by name: what they hold is hashed beside this."""
        return {
            "train": [_described(source) for source in config.data.train],
            "test": [_described(source) for source in config.data.test],
            "dev_share": config.data.dev_share,
            "seed": config.seed,
        }

    def files(self, config: Config) -> tuple[Path, ...]:
        """Of the sources that are files."""
        sources = (*config.data.train, *config.data.test)
        return tuple(dict.fromkeys(source.path for source in sources if source.path is not None))

    def estimate(self, job: Job) -> Estimate:  # noqa: ARG002 - a stage's signature
        """Nothing to speak of."""
        return Estimate(note="files are read; Hugging Face datasets are downloaded once")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes train.jsonl, dev.jsonl, test.jsonl and the card. Raises: ConfigurationError."""
        parts = load_parts(job.config.data, seed=job.config.seed)
        for name in ("train", "dev", "test"):
            write_rows(job.folder / f"{name}.jsonl", getattr(parts, name))
        _card(job.config, parts).write(job.folder)
        return {
            "train": len(parts.train),
            "dev": len(parts.dev),
            "test": len(parts.test),
            "tasks": len({question.task for question in parts.train}),
            **{f"dropped, {why}": count for why, count in sorted(parts.dropped.items())},
        }


def _described(source: Source) -> dict[str, object]:
    described = source.model_dump(mode="json", exclude={"path", "revision"})
    # Only where there is one: an option that came later changes no key of an earlier run.
    pinned = {"revision": source.revision} if source.revision else {}
    return described | pinned | {"file": source.path.name if source.path else ""}


def _card(config: Config, parts: Parts) -> Card:
    datasets = {question.dataset for question in (*parts.train, *parts.dev, *parts.test)}
    trained_on = {question.dataset for question in (*parts.train, *parts.dev)}
    facts = {
        "Train files": _names(config.data.train),
        "Test files": _names(config.data.test) or "none",
        "Taken from": ", ".join(sorted(parts.origins)) or "not said in the files",
        "Licence": licences(datasets),
        "Dev": f"{config.data.dev_share:.0%} of the train questions by a checksum of their ids, "
        f"seed {config.seed}",
    }
    facts |= {f"Left out: {why}": str(count) for why, count in sorted(parts.dropped.items())}
    counted = [
        Counter((question.dataset, question.task) for question in part)
        for part in (parts.train, parts.dev, parts.test)
    ]
    groups = sorted({group for part in counted for group in part})
    rows = [[*group, *(part[group] for part in counted)] for group in groups]
    rows.append(["all", "", *(part.total() for part in counted)])
    return Card(
        title=f"Questions of {config.name}",
        about=[
            _ABOUT,
            *wishes(trained_on),
        ],
        facts=facts,
        columns=("benchmark", "task", "train", "dev", "test"),
        rows=rows,
    )


def _names(sources: tuple[Source, ...]) -> str:
    return ", ".join(
        source.path.name if source.path else " ".join(filter(None, (source.hub, source.subset)))
        for source in sources
    )


STAGE = Data()
