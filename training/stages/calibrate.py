"""Calibrates the gate on the questions kept out of training (`data/dev.jsonl`), with S_E."""

from __future__ import annotations

from pathlib import Path

from kb_loader.dump import write_file
from training.config import Config
from training.evaluation.asking import ask
from training.evaluation.run_setup import (
    ATTEMPTS,
    answering_settings,
    estimate_answers,
    setup_of,
)
from training.evaluation.sweep import Calibration, Tried, calibrate
from training.manifest import Value
from training.row_file import read_rows
from training.rows import Question
from training.stage import Estimate, Job

THRESHOLDS = "thresholds.json"


class Calibrate:
    """Answers every dev question both ways, and sweeps the threshold over what comes out."""

    name = "calibrate"
    needs = ("data", "check-knowledge", "fit-se")

    def settings(self, config: Config) -> dict[str, object]:
        """What its answers depend on."""
        return answering_settings(config)

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """Two answers per dev question."""
        return estimate_answers(job, 2 * len(_questions(job)), "at most; twice per dev question")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes attempts.jsonl, thresholds.json and thresholds.png."""
        questions = _questions(job)
        calibration = calibrate(_tried(job, questions) if questions else [])
        write_file(job.folder / THRESHOLDS, f"{calibration.model_dump_json(indent=2)}\n".encode())
        if questions:
            from training.evaluation.plots import plot_thresholds  # noqa: PLC0415 - matplotlib

            plot_thresholds(calibration, job.folder / "thresholds.png")
        chosen = calibration.chosen
        return {
            "questions": calibration.questions,
            "threshold": round(calibration.threshold, 4),
            "accuracy": round(chosen.accuracy.accuracy, 4) if chosen else None,
            "direct_share": round(chosen.direct, 4) if chosen else None,
            "note": calibration.note,
        }


STAGE = Calibrate()


def read_calibration(folder: Path) -> Calibration:
    """What the stage found, from its folder. Raises: ConfigurationError."""
    return Calibration.read(folder / THRESHOLDS)


def _questions(job: Job) -> list[Question]:
    return list(read_rows(job.inputs["data"] / "dev.jsonl", Question))


def _tried(job: Job, questions: list[Question]) -> list[Tried]:
    setup = setup_of(job, threshold=0.0)
    direct, reasoned = "direct", "reasoned"
    answered = ask(
        {direct: setup.system("nesycd-adaptive"), reasoned: setup.system("nesycd-always")},
        questions,
        setup,
        job.folder / ATTEMPTS,
        in_flight=job.config.in_flight,
        progress=job.progress,
        cluster=job.cluster,
    )
    return [
        Tried(one.question, one.attempt, other.attempt)
        for one, other in zip(answered[direct], answered[reasoned], strict=True)
    ]
