"""Evaluates the systems that the configuration names on the test questions."""

from __future__ import annotations

from pathlib import Path

from services.common.errors import ConfigurationError
from services.student.models import display_name
from training.config import Config
from training.evaluation import harness
from training.evaluation.asking import ask, named_systems
from training.evaluation.earlier import take_over
from training.evaluation.results import Results, benchmarks
from training.evaluation.run_setup import (
    ATTEMPTS,
    answering_settings,
    estimate_answers,
    setup_of,
)
from training.evaluation.writing import write_results
from training.manifest import Value
from training.row_file import read_rows
from training.rows import Question
from training.stage import Estimate, Job
from training.stages.calibrate import read_calibration


class Evaluate:
    """Has every system answer every test question, and reports."""

    name = "evaluate"
    needs = ("data", "check-knowledge", "fit-sp", "fit-se", "calibrate")

    def settings(self, config: Config) -> dict[str, object]:
        """The systems, and what their answers depend on."""
        return {
            "systems": list(config.evaluate.systems),
            "trained_on": sorted({source.profile for source in config.data.train}),
            "answering": answering_settings(config),
        }

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - a stage's signature
        """None."""
        return ()

    def estimate(self, job: Job) -> Estimate:
        """An answer per system and test question."""
        systems = job.config.evaluate.systems
        wanted = len(systems) * len(_questions(job))
        return estimate_answers(job, wanted, f"at most; {len(systems)} systems")

    def run(self, job: Job) -> dict[str, Value]:
        """Writes attempts.jsonl, results.json, report.md and the plots.

        Raises: ConfigurationError without test questions, or where answers failed.
        """
        config, questions = job.config, _questions(job)
        if not questions:
            raise ConfigurationError("data.test: there is no question to evaluate on")
        calibration = read_calibration(job.inputs["calibrate"])
        setup = setup_of(job, threshold=calibration.threshold)
        taken = take_over(job, config.evaluate.systems, answering_settings(config))
        if taken:
            job.progress.say(f"evaluate: {taken} answers taken over from earlier evaluations")
        answered = ask(
            named_systems(config.evaluate.systems, setup),
            questions,
            setup,
            job.folder / ATTEMPTS,
            in_flight=config.in_flight,
            progress=job.progress,
            cluster=job.cluster,
        )
        results = Results(
            student=f"{display_name(config.student.model)} ({config.student.backend})",
            max_new_tokens=config.evaluate.max_new_tokens,
            threshold=calibration.threshold,
            calibration=calibration.note,
            no_harness=harness.why_absent(),
            benchmarks=benchmarks(
                answered, trained_on={source.profile for source in config.data.train}
            ),
        )
        write_results(results, job.folder)
        return {
            f"{benchmark.dataset}/{name}": round(score.micro.accuracy, 4)
            for benchmark in results.benchmarks
            for name, score in benchmark.systems.items()
        }


STAGE = Evaluate()


def _questions(job: Job) -> list[Question]:
    return list(read_rows(job.inputs["data"] / "test.jsonl", Question))
