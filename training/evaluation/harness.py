"""The same texts as lm-evaluation-harness reads them, beside our own reader.

Its own classes do the reading (extra `eval`); the patterns are those of its tasks gsm8k and
bbh_cot_fewshot as of 0.4.13, held to its files by a test. Two things to know of them: gsm8k's
strict filter wants "#### 18", which no prompt here asks for; and bbh's filter takes the first
answer phrase, compares byte by byte, and eats the last character of a line, so that "the
answer is 18" without a full stop is read as "1".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from services.common.prompts import ANSWER_CUE
from services.common.records import GateDecision
from training.evaluation.score import Answered, Share
from training.rows import Attempt


@dataclass(frozen=True, slots=True)
class Reading:
    """One filter of a task of the harness, and how the task compares.

    Attributes:
        name: task and filter, as the harness calls them.
        pattern: what is searched for.
        place: which match counts: 0 the first, -1 the last.
        ignored: patterns that are deleted before comparing.
        ignore_case: when comparing.
    """

    name: str
    pattern: str
    place: int = 0
    ignored: tuple[str, ...] = ()
    ignore_case: bool = False


_GSM8K_IGNORED: Final = (",", r"\$", "(?s).*#### ", r"\.$")
_GSM8K: Final = (
    Reading("gsm8k strict-match", r"#### (\-?[0-9\.\,]+)", 0, _GSM8K_IGNORED, ignore_case=True),
    Reading(
        "gsm8k flexible-extract",
        r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
        -1,
        _GSM8K_IGNORED,
        ignore_case=True,
    ),
)
_BBH: Final = (Reading("bbh_cot_fewshot get-answer", r"(?<=the answer is )(.*)(?=.)"),)

READINGS: Final[Mapping[str, tuple[Reading, ...]]] = {
    "gsm8k": _GSM8K,
    "svamp": _GSM8K,  # the harness has no task of its own for it; numbers as in gsm8k
    "bbh": _BBH,
}
"""By profile; the others are multiple choice that the harness scores by likelihood."""


def why_absent() -> str:
    """Why the harness cannot read, in words; "" if it can."""
    if find_spec("lm_eval") is None:
        return "lm-evaluation-harness is not installed (pip install 'nesycd[eval]')"
    return ""


def read(answered: Sequence[Answered], dataset: str) -> dict[str, Share]:
    """How many answers each filter finds right, by its name; none for other benchmarks.

    Raises: ImportError without lm-eval; see `why_absent`.
    """
    return {
        reading.name: Share.of(_rights(answered, reading)) for reading in READINGS.get(dataset, ())
    }


def written(attempt: Attempt) -> str:
    """The text that the harness is given.

    A direct answer stands after the answer phrase of its prompt, so that is put back.
    """
    if attempt.decision == GateDecision.DIRECT.value:
        return f"{ANSWER_CUE} {attempt.answer}."
    return attempt.rationale


def _rights(answered: Sequence[Answered], reading: Reading) -> list[bool]:
    from lm_eval.api.metrics import exact_match_fn  # noqa: PLC0415 - an extra
    from lm_eval.filters.extraction import RegexFilter  # noqa: PLC0415

    texts = [[written(one.attempt)] for one in answered]
    found = RegexFilter(reading.pattern, group_select=reading.place).apply(
        texts, [{} for _ in texts]
    )
    return [
        bool(
            exact_match_fn(
                predictions=list(first[:1]),
                references=[one.question.gold],
                regexes_to_ignore=list(reading.ignored) or None,
                ignore_case=reading.ignore_case,
            )["exact_match"]
        )
        for one, first in zip(answered, found, strict=True)
    ]
