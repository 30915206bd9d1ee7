"""The setup of a run's stages: its student, adapters and knowledge, from the folders it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.common.errors import ConfigurationError
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from services.student.models import display_name
from training.config import Config
from training.evaluation.asking import Setup
from training.row_file import read_rows
from training.rows import Attempt
from training.stage import Estimate, Job

ATTEMPTS: Final = "attempts.jsonl"
_SCRATCH: Final = ".scratch"  # no output: it starts with a point
_FITTED_BY: Final = {"sp": "fit-sp", "se": "fit-se"}

_STUDENT = {"backend", "dtype", "max_model_len"}
_KNOWLEDGE = {"embedder", "lexical_weight", "vector_weight", "max_related"}
_REASONER = {"direct_max_new_tokens", "conclude"}


def setup_of(job: Job, *, threshold: float) -> Setup:
    """The setup, with the adapters of the fitting stages that the job was given.

    Raises: ConfigurationError when the scratch folder cannot be written.
    """
    config = job.config
    scratch = job.folder.resolve() / _SCRATCH  # whole paths: processes of Ray start elsewhere
    fitted = {name: job.inputs[stage] for name, stage in _FITTED_BY.items() if stage in job.inputs}
    student = config.student.model_copy(
        update={"adapters_dir": _linked(scratch / "adapters", fitted)}
    )
    return Setup(
        student=student,
        reasoner=config.reasoner,
        knowledge=config.knowledge,
        scratch=scratch / "dumps",
        max_new_tokens=config.evaluate.max_new_tokens,
        threshold=threshold,
        dump=job.inputs["check-knowledge"].resolve() / "dump",
    )


def answering_settings(config: Config) -> dict[str, object]:
    """What the answers of a stage depend on, beside its inputs."""
    return {
        **engine_settings(config.student, config.reasoner, config.knowledge),
        "max_new_tokens": config.evaluate.max_new_tokens,
    }


def engine_settings(
    student: StudentSettings, reasoner: ReasonerSettings, knowledge: KnowledgeSettings
) -> dict[str, object]:
    """What answers depend on; nothing of where files lie, how fast it is, or the threshold."""
    return {
        "model": display_name(student.model),
        "student": student.model_dump(mode="json", include=_STUDENT),
        "reasoner": reasoner.model_dump(mode="json", include=_REASONER),
        "knowledge": knowledge.model_dump(mode="json", include=_KNOWLEDGE),
    }


def estimate_answers(job: Job, wanted: int, note: str) -> Estimate:
    """What answers cost that are not in the stage's file yet: at most, in tokens."""
    present = sum(not row.error for row in read_rows(job.folder / ATTEMPTS, Attempt))
    left = max(0, wanted - present)
    tokens = left * job.config.evaluate.max_new_tokens
    return Estimate(rows=left, completion_tokens=tokens, note=note)


def _linked(folder: Path, fitted: dict[str, Path]) -> Path:
    """One folder of adapters out of several stages'."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, stage in fitted.items():
            link = folder / name
            link.unlink(missing_ok=True)  # the run folder may have been moved
            link.symlink_to((stage / "adapters" / name).resolve(), target_is_directory=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    return folder
