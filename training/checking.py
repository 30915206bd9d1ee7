"""What can be refused before anything expensive starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from services.common.errors import ConfigurationError
from services.common.settings import StudentSettings, load_settings
from services.student.models import prepare_student
from services.student.packaged_models import PACKAGED_MODELS
from training.config import Config, EndpointTeacher, LocalTeacher
from training.fitting.lora import check_config
from training.run import Run
from training.teachers.factory import check_teacher

_EXTRA = "the extra `train`: pip install 'nesycd[train]'"


def check(run: Run, *, with_ray: bool = False) -> None:
    """Looks at packages, files, models, teachers and adapters.

    What a finished stage needed is not asked for again: a key may be gone once all is taught.

    Raises: ConfigurationError with one line for each thing that is wrong.
    """
    config = run.config
    done = {standing.stage.name for standing in run.standings() if standing.manifest}
    checks: list[Callable[[], None]] = [
        partial(_packages, config, with_ray=with_ray),
        partial(_student, "student", config.student),
        partial(check_config, config),
    ]
    if "teach" not in done:
        checks.append(partial(check_teacher, config.teach.teacher))
    if "distil-knowledge" not in done:
        checks.append(partial(check_teacher, config.distil.teacher))
    for name, teacher in _teachers(config):
        if isinstance(teacher, LocalTeacher):
            checks.append(partial(_student, f"{name}.student", teacher.student))
    wrong = list(dict.fromkeys(filter(None, map(_refusal, checks))))
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def _teachers(config: Config) -> Iterator[tuple[str, object]]:
    yield "teach.teacher", config.teach.teacher
    yield "distil.teacher", config.distil.teacher


def _refusal(check_one: Callable[[], None]) -> str:
    try:
        check_one()
    except ConfigurationError as error:
        return error.message
    return ""


def _packages(config: Config, *, with_ray: bool) -> None:
    needed = ["torch", "transformers", "peft", "accelerate", "matplotlib"]
    if any(isinstance(teacher, EndpointTeacher) for _, teacher in _teachers(config)):
        needed.append("openai")
    if any(source.hub for source in (*config.data.train, *config.data.test)):
        needed.append("datasets")
    if with_ray:
        needed.append("ray.data")
    missing = [name for name in needed if not _is_installed(name)]
    if missing:
        raise ConfigurationError(f"{', '.join(missing)}: not installed; they come with {_EXTRA}")


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a part of a package that is not there
        return False


def _student(name: str, student: StudentSettings) -> None:
    if student.backend == "scripted" or student.model in PACKAGED_MODELS:
        return  # a packaged model is fetched, converted and checked when it is needed
    settings = load_settings().model_copy(update={"student": student})
    try:
        prepare_student(settings, lambda _step: None)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error.message}") from error
