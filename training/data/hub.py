"""Questions of a Hugging Face dataset, fetched or from the cache: who imports `datasets`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from services.common.errors import ConfigurationError
from training.config import Source
from training.data import draws
from training.data.profiles import Part, Profile
from training.data.records import Record, check_task, question_of
from training.row_file import parse_row
from training.rows import Question


def fetch_questions(source: Source, profile: Profile, part: Part) -> list[Question]:
    """Reads the rows that are for `part`: of the profile's split, or all of `source.split`.

    Keys are PROFILE[-TASK][-SPLIT]-NUMBER, the task where the profile has several, the split
    where it has any: as in the project's own files.

    Raises:
        ConfigurationError: the dataset cannot be fetched, has no such subset or split, or a row
            of it is wrong.
    """
    return [
        question
        for subset in _subsets(source, profile)
        for question in _of_subset(source, profile, part, subset)
    ]


def _subsets(source: Source, profile: Profile) -> list[str]:
    if source.subset or not profile.has_task_subsets:
        return [source.subset or profile.subset]
    import datasets  # noqa: PLC0415 - takes seconds

    try:
        return sorted(
            datasets.get_dataset_config_names(source.hub, revision=source.revision or None)
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ConfigurationError(f"{source.hub} cannot be read: {error}") from error


def _of_subset(source: Source, profile: Profile, part: Part, subset: str) -> list[Question]:
    place = " ".join(filter(None, (source.hub, subset)))
    task = profile.task_of(source.hub, subset)
    check_task(task, profile, place)
    if not source.split and profile.splits and part not in profile.splits:
        raise ConfigurationError(
            f"{place}: split: profile {profile.name} has none for {part}; name one in `split`"
        )
    split = source.split or profile.splits.get(part, "")
    rows = _rows(source, subset, split, place)
    stem = [profile.name, *([task] if len(profile.tasks) > 1 else [])]
    if profile.splits:
        stem.append(re.sub(r"\W+", "_", split).strip("_"))
    questions = list(_questions(rows, profile, task, "-".join(stem), f"{place} {split}".strip()))
    if split:
        return questions
    kept = draws.kept_for_test([question.key for question in questions])
    return [one for one in questions if (one.key in kept) == (part == "test")]


def _rows(source: Source, subset: str, split: str, place: str) -> Any:
    """The rows of a split; of the only split there is, if none is named."""
    import datasets  # noqa: PLC0415 - takes seconds

    try:
        loaded = datasets.load_dataset(
            source.hub, subset or None, split=split or None, revision=source.revision or None
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ConfigurationError(f"{place} cannot be read: {error}") from error
    if split:
        return loaded
    if len(loaded) != 1:
        raise ConfigurationError(f"{place}: split: name one of {', '.join(loaded)}")
    (rows,) = loaded.values()
    return rows


def _questions(rows: Any, profile: Profile, task: str, stem: str, place: str) -> Iterator[Question]:
    number = 0
    for number, row in enumerate(rows, 1):
        here = f"{place}:{number}"
        read = parse_row(json.dumps(row, default=str).encode(), profile.row, here)
        try:
            asked = read.asked()
        except ValueError as error:
            raise ConfigurationError(f"{here}: {error}") from error
        record = {
            "id": f"{stem}-{number:05}",
            "dataset": profile.name,
            "task": task,
            "question": asked.question,
            "answer": asked.gold,
            "rationale": asked.rationale or None,
        }
        yield question_of(parse_row(json.dumps(record).encode(), Record, here))
    if not number:
        raise ConfigurationError(f"{place} is empty")
