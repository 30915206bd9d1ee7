"""The configuration of a run: a TOML file, checked in full before anything expensive starts.

Sections `student`, `reasoner` and `knowledge` are those of the service (services/common/
settings.py), so that what is evaluated is what is served. Defaults are the published
hyper-parameters (NesyCD, Liao et al. 2025; where it is silent, its sister paper SKIntern).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from services.common.errors import ConfigurationError
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from services.knowledge.content import RELEASE_NAME
from training.evaluation.systems import refusal

Profile = Literal["bbh", "gsm8k", "agieval", "arc_easy", "arc_challenge", "svamp"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Section):
    """Where questions come from: a file of JSON Lines, or a Hugging Face dataset."""

    profile: Profile = Field(description="How rows of the benchmark are read.")
    path: Path | None = Field(None, description="JSON Lines, `.gz` or not.")
    hub: str = Field("", description="Hugging Face dataset id, instead of `path`.")
    subset: str = Field("", description="Of the Hugging Face dataset.")
    split: str = Field("", description="Of the Hugging Face dataset. Empty: the profile's.")
    revision: str = Field(
        "", description="Commit, tag or branch of the Hugging Face dataset. Empty: the newest."
    )
    max_examples: int | None = Field(
        None, ge=1, description="Most questions, drawn evenly over the tasks. Unset: all."
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.path is None) == (not self.hub):
            raise ValueError("name either path or hub, and not both")
        if self.revision and not self.hub:
            raise ValueError(f"revision: only a dataset of the hub has one, got {self.revision!r}")
        return self


class DataConfig(_Section):
    """Questions: to learn from, to calibrate on, to be tested with."""

    train: tuple[Source, ...] = Field(min_length=1, description="Questions to learn from.")
    test: tuple[Source, ...] = Field((), description="Questions that are only evaluated on.")
    dev_share: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of the train questions kept out of training, for calibration.",
    )


class RecordedTeacher(_Section):
    """Rationales of a file: JSON Lines with `id`, `rationale` and perhaps `teacher`."""

    kind: Literal["recorded"]
    paths: tuple[Path, ...] = Field(min_length=1, description="JSON Lines, `.gz` or not.")


class EndpointTeacher(_Section):
    """Any OpenAI-compatible chat endpoint. The key is read from the environment only."""

    kind: Literal["endpoint"]
    base_url: str = Field(
        pattern=r"https?://.+", description="Up to and without /chat/completions."
    )
    model: str = Field(min_length=1, description="Name at the endpoint.")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="Environment variable that holds the key; empty: no key."
    )
    in_flight: int = Field(16, ge=1, description="Most requests at a time.")
    retries: int = Field(4, ge=0, description="Per request, by the client alone.")
    timeout_s: float = Field(120.0, gt=0, description="Longest wait for one reply.")
    usd_per_million_in: float = Field(0.0, ge=0, description="Price of a million tokens read.")
    usd_per_million_out: float = Field(0.0, ge=0, description="Price of a million tokens written.")
    budget_usd: float | None = Field(
        None, gt=0, description="Spend no more over the whole run folder. Unset: no cap."
    )

    def usd(self, read: int, written: int) -> float:
        """What so many tokens cost."""
        cost = read * self.usd_per_million_in + written * self.usd_per_million_out
        return cost / 1_000_000


class LocalTeacher(_Section):
    """A model on this machine, run as the student is."""

    kind: Literal["local"]
    student: StudentSettings = Field(description="Engine and model.")
    chat: bool = Field(True, description="Use the model's chat template.")
    in_flight: int = Field(32, ge=1, description="Most requests at a time.")


class ScriptedTeacher(_Section):
    """Fixed replies without a model, for trials and tests."""

    kind: Literal["scripted"]


Teacher = Annotated[
    RecordedTeacher | EndpointTeacher | LocalTeacher | ScriptedTeacher,
    Field(discriminator="kind"),
]


class TeachConfig(_Section):
    """Stage 1a: rationales of the teacher."""

    teacher: Teacher = Field(description="Who writes them.")
    samples: int = Field(1, ge=1, le=8, description="Rationales per question (paper: 1 to 2).")
    temperature: float = Field(0.0, ge=0, le=2, description="Above 0 where samples differ.")
    max_new_tokens: int = Field(1024, ge=1, description="Per rationale.")

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.temperature == 0 and self.teacher.kind != "recorded":
            raise ValueError(f"samples = {self.samples} are all the same at temperature = 0")
        return self


_OUTSIDE_THE_LAYERS = frozenset({"lm_head", "embed_tokens", "wte", "wpe", "norm"})


class FitConfig(_Section):
    """Fitting a LoRA adapter (stages 1b and 4)."""

    epochs: float = Field(gt=0, description="Passes over the examples.")
    rank: Literal[8, 16, 32, 64] = Field(32, description="LoRA r; formula: W + alpha / r * B A.")
    alpha: int = Field(64, ge=1, description="LoRA alpha.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the adapter's input.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="Linear layers that get an adapter."
    )
    last_layers: int | None = Field(
        None, ge=1, description="Only the last so many layers. Unset: all."
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="Unset, by size: 2e-4 up to 1.1B, 1e-4 up to 7B, 5e-5 above.",
    )
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Of the steps, before the cosine.")
    batch_size: int = Field(8, ge=1, description="Examples per update, over all processes.")
    micro_batch_size: int = Field(
        4, ge=1, description="Examples per forward pass; divides batch_size."
    )
    max_tokens: int = Field(
        4096, ge=32, description="Longest example, prompt and completion; longer ones are left out."
    )
    loss_reduction: Literal["token", "example"] = Field(
        "token",
        description="Mean over all tokens, or over examples of their token means: then a short "
        "answer weighs as much as a long rationale.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Autocast; `auto`: bfloat16 where the processor computes in it."
    )
    save_steps: int = Field(50, ge=1, description="Updates between checkpoints.")
    processes: int = Field(
        1, ge=1, description="Processes of this machine that share each batch, one per GPU."
    )

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.batch_size % (self.micro_batch_size * self.processes):
            raise ValueError(
                f"micro_batch_size = {self.micro_batch_size} of processes = {self.processes} does "
                f"not divide batch_size = {self.batch_size}"
            )
        return self

    @field_validator("target_modules")
    @classmethod
    def _is_inside_the_layers(cls, modules: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not modules:
            raise ValueError("no module is left to fit")
        if isinstance(modules, tuple):
            for name in modules:
                if not name.isidentifier() or name in _OUTSIDE_THE_LAYERS:
                    raise ValueError(f"{name!r} is no linear layer that the service could serve")
        return modules


class MineConfig(_Section):
    """Stage 2: the errors of S_P on its own train questions."""

    folds: int = Field(
        0,
        ge=0,
        le=10,
        description="0: S_P answers the questions it was trained on, as in the paper. From 2: it "
        "is fitted so many times, each time answering the part left out.",
    )
    max_new_tokens: int = Field(512, ge=1, description="Per answer.")

    @model_validator(mode="after")
    def _one_fold_is_none(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds = 1 leaves nothing to train on")
        return self


class DistilConfig(_Section):
    """Stage 3: knowledge from errors. Defaults of SKIntern."""

    teacher: Teacher = Field(description="Who writes it; not `recorded`.")
    temperature: float = Field(0.8, ge=0, le=2, description="Of the teacher.")
    max_new_tokens: int = Field(1024, ge=1, description="Per reply.")
    attempts: int = Field(
        3, ge=1, le=10, description="Replies asked for until one passes the checks."
    )
    graph: bool = Field(False, description="Ask for rules and facts as well.")
    max_errors: int | None = Field(
        None, ge=1, description="Most errors, drawn evenly over the tasks. Unset: all."
    )
    duplicate_similarity: float = Field(
        0.98, gt=0, le=1, description="Notes as alike as this, by cosine, are merged into one."
    )


class MixConfig(_Section):
    """The examples of stage 4."""

    task_weights: dict[Literal["AD", "AP", "DC"], float] = Field(
        {"AD": 1.0, "AP": 1.0, "DC": 1.0},
        description="Weight of each training task's loss; 0 leaves the task out.",
    )
    top_k: int = Field(1, ge=1, le=8, description="Entries in an AD prompt (m in the paper).")

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if any(weight < 0 for weight in self.task_weights.values()):
            raise ValueError("task_weights: a weight is below 0")
        if not any(self.task_weights.values()):
            raise ValueError("task_weights: all are 0, so nothing is left to fit on")
        return self


class EvaluateConfig(_Section):
    """Calibration and evaluation."""

    systems: tuple[str, ...] = Field(
        ("base", "std-cot", "nesycd-never", "nesycd-always", "nesycd-adaptive"),
        description="Names of evaluation/systems.py; `nesycd eval --list` shows them.",
    )
    max_new_tokens: int = Field(512, ge=1, description="Per answer.")

    @field_validator("systems")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if refused := refusal(names):
            raise ValueError(refused)
        return names


class PackageConfig(_Section):
    """What the service is given."""

    adapter: Annotated[str, RELEASE_NAME] = Field("nesycd", description="Name of the adapter.")
    version: Annotated[str, RELEASE_NAME] = Field("v1", description="Its version.")
    release: Annotated[str, RELEASE_NAME] = Field(
        "distilled-1", description="Name of the knowledge release."
    )


class Config(_Section):
    """A run from teacher to adapter, dump and report."""

    name: Annotated[str, RELEASE_NAME] = Field(
        description="Names the run's folder where none is given, and its reports."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of every draw, shuffle and weight.")
    in_flight: int = Field(64, ge=1, description="Questions put to the student at a time.")
    student: StudentSettings = Field(
        default_factory=StudentSettings, description="The student, as the service has it."
    )
    reasoner: ReasonerSettings = Field(
        default_factory=ReasonerSettings, description="The pipeline, as the service has it."
    )
    knowledge: KnowledgeSettings = Field(
        default_factory=KnowledgeSettings, description="Retrieval, as the service has it."
    )
    data: DataConfig = Field(description="The questions.")
    teach: TeachConfig = Field(description="Stage 1a.")
    fit_sp: FitConfig = Field(
        default_factory=lambda: FitConfig(epochs=10), description="Stage 1b; 10 epochs."
    )
    mine: MineConfig = Field(default_factory=MineConfig, description="Stage 2.")
    distil: DistilConfig = Field(description="Stage 3.")
    mix: MixConfig = Field(default_factory=MixConfig, description="Examples of stage 4.")
    fit_se: FitConfig = Field(
        default_factory=lambda: FitConfig(epochs=3), description="Stage 4; 3 epochs."
    )
    evaluate: EvaluateConfig = Field(
        default_factory=EvaluateConfig, description="Calibration and evaluation."
    )
    package: PackageConfig = Field(
        default_factory=PackageConfig, description="What the service is given."
    )

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if self.distil.teacher.kind == "recorded":
            raise ValueError("distil.teacher: recorded rationales cannot write knowledge")
        if self.knowledge.store != "embedded":
            raise ValueError("knowledge.store: a run keeps its knowledge in its own folder")
        for name, fit in (("fit_sp", self.fit_sp), ("fit_se", self.fit_se)):
            if fit.rank > self.student.max_lora_rank:
                raise ValueError(
                    f"{name}.rank: {fit.rank} is above student.max_lora_rank = "
                    f"{self.student.max_lora_rank}, so the service could not serve it"
                )
        if self.fit_se.rank != self.fit_sp.rank or self.fit_se.alpha != self.fit_sp.alpha:
            raise ValueError("fit_se: S_E starts from S_P, so rank and alpha are those of fit_sp")
        return self


def load_config(path: Path, folder: Path | None = None) -> Config:
    """Reads a run's configuration. Relative paths in it start at `folder`, or at its own folder.

    Raises: ConfigurationError naming each field that is wrong, with its value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    try:
        config = Config.model_validate(_placed(values, folder or path.parent))
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        lines = [_line(one) for one in wrong if not _follows(one, wrong)]
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in lines)) from error
    return config


_PATHS = frozenset({"path", "paths", "adapters_dir"})
_IDS_OR_PATHS = frozenset({"model", "embedder"})
_MOST_SHOWN = 120


def _placed(value: object, folder: Path, name: str = "") -> object:
    """The values with relative paths made absolute."""
    if isinstance(value, dict):
        return {key: _placed(inner, folder, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner, folder, name) for inner in value]
    if not isinstance(value, str):
        return value
    # A Hugging Face id looks like a path: of the two, one that begins with a point is a path.
    if name in _PATHS or (name in _IDS_OR_PATHS and value.startswith(("./", "../", "~"))):
        return str((folder / Path(value).expanduser()).resolve())
    return value


def _follows(error: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because its items are wrong."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in others
    )


def _line(error: ErrorDetails) -> str:
    # pydantic adds the kind of a teacher and the types of a union to the name of the field.
    parts = [str(part) for part in error["loc"] if not re.search(r"\W", str(part))]
    kinds = {place for place, part in enumerate(parts) if parts[place - 1 : place] == ["teacher"]}
    field = ".".join(part for place, part in enumerate(parts) if place not in kinds)
    message = error["msg"].removeprefix("Value error, ")
    # An unknown field may be a secret that is not meant to be here.
    is_shown = error["type"] != "extra_forbidden" and not isinstance(error["input"], dict)
    given = f", got {error['input']!r}"[:_MOST_SHOWN] if is_shown else ""
    return f"{field}: {message}{given}" if field else message
