"""Train, dev and test: which question goes where, so that none is in two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.common.errors import ConfigurationError
from training.config import DataConfig, Source
from training.data import draws
from training.data.profiles import PROFILES, Part
from training.data.records import read_questions
from training.rows import Question

IN_TEST = "the same text is a test question"
REPEATED = "the same text is a train question already"


@dataclass(frozen=True, slots=True)
class Parts:
    """The questions of a run.

    Attributes:
        train: to learn from.
        dev: of the train files, kept out of training.
        test: evaluated on.
        origins: repositories that the files name.
        dropped: train questions that were left out, by reason.
    """

    train: list[Question]
    dev: list[Question]
    test: list[Question]
    origins: frozenset[str]
    dropped: Counter[str]


def load_parts(config: DataConfig, *, seed: int) -> Parts:
    """Reads all sources and separates them.

    A test question is never trained on, so a train question of the same text is dropped. So is
    one that repeats another train question: it would find the knowledge made from its twin, and
    might stand in train and dev both.

    Raises: ConfigurationError: bad rows, a key that comes twice, or nothing left of a part that
        is wanted.
    """
    train, train_origins = _load(config.train, "train", seed)
    test, test_origins = _load(config.test, "test", seed)
    _check_keys([*train, *test])
    seen = dict.fromkeys((_folded(question) for question in test), IN_TEST)
    dropped: Counter[str] = Counter()
    kept = []
    for question in train:
        text = _folded(question)
        if text in seen:
            dropped[seen[text]] += 1
        else:
            seen[text] = REPEATED
            kept.append(question)
    is_dev = {
        question.key
        for question in kept
        if draws.place(question.key, salt="dev", seed=seed) < config.dev_share
    }
    parts = Parts(
        train=[question for question in kept if question.key not in is_dev],
        dev=[question for question in kept if question.key in is_dev],
        test=test,
        origins=train_origins | test_origins,
        dropped=dropped,
    )
    _check_filled(parts, config)
    return parts


def read_source(source: Source, *, part: Part = "test", seed: int) -> list[Question]:
    """The questions of one source, as many as it asks for.

    Raises: ConfigurationError: it cannot be read, or a row of it is wrong.
    """
    return _read(source, part, seed)[0]


def _load(
    sources: Sequence[Source], part: Part, seed: int
) -> tuple[list[Question], frozenset[str]]:
    read = [_read(source, part, seed) for source in sources]
    questions = [question for found, _ in read for question in found]
    return questions, frozenset().union(*(origins for _, origins in read))


def _read(source: Source, part: Part, seed: int) -> tuple[list[Question], frozenset[str]]:
    """The questions, and where they come from."""
    profile = PROFILES[source.profile]
    if source.path is not None:
        questions, origins = read_questions(source.path, profile)
    else:
        from training.data.hub import fetch_questions  # noqa: PLC0415 - needs an extra

        questions, origins = fetch_questions(source, profile, part), frozenset({source.hub})
    drawn = draws.evenly(
        questions,
        source.max_examples,
        group=lambda question: question.task,
        seed=seed,
    )
    return drawn, origins


def _check_keys(questions: Iterable[Question]) -> None:
    counted = Counter(question.key for question in questions)
    twice = [key for key, count in counted.items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"data: {len(twice)} ids come more than once among all train and test questions, the "
            f"first {twice[0]!r}"
        )


def _check_filled(parts: Parts, config: DataConfig) -> None:
    if not parts.train:
        raise ConfigurationError(
            f"data.train: no question is left to learn from ({len(parts.dev)} went to dev; "
            + (", ".join(f"{why}: {count}" for why, count in parts.dropped.items()) or "none lost")
            + ")"
        )
    if config.dev_share and not parts.dev:
        raise ConfigurationError(
            f"data.dev_share: {config.dev_share} of {len(parts.train)} questions leaves none to "
            f"calibrate on"
        )


def _folded(question: Question) -> str:
    return " ".join(question.text.casefold().split())
