"""Stages fit-sp and fit-se: the student's two adapters (NesyCD, stages 1 and 4).

S_P learns chain of thought from the kept rationales. S_E starts from S_P's weights and goes on
with the mix of the three training tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from services.common.errors import ConfigurationError
from services.common.settings import load_settings
from services.student.models import display_name, prepare_student
from services.student.packaged_models import PACKAGED_MODELS
from training.config import Config, FitConfig
from training.examples import chain_of_thought
from training.fitting.fit import fit_adapter
from training.fitting.spec import FitSpec
from training.manifest import Value
from training.row_file import read_rows, write_rows
from training.rows import Example, Question, Rationale
from training.stage import Estimate, Job

_VERSION: Final = "v1"
_CHARACTERS_PER_TOKEN = 3.5  # SmolLM2 on BBH rationales
_TOKENS_PER_S = 500.0  # SmolLM2-135M on two cores with avx512_bf16 (training.md, bench/training.py)


@dataclass(frozen=True, slots=True)
class Fit:
    """One of the two.

    Attributes:
        name: of the stage.
        needs: the stages it reads.
        section: of the configuration.
        adapter: its name.
    """

    name: str
    needs: tuple[str, ...]
    section: Literal["fit_sp", "fit_se"]
    adapter: str

    def settings(self, config: Config) -> dict[str, object]:
        """Hyper-parameters, seed and student; not how the work is cut into processes."""
        return {
            "fit": self._fit(config).model_dump(mode="json", exclude={"processes", "save_steps"}),
            "seed": config.seed,
            "student": display_name(config.student.model),
            "max_lora_rank": config.student.max_lora_rank,
        }

    def files(self, config: Config) -> tuple[Path, ...]:
        """The student's weights and tokenizer, where it is a folder here."""
        if config.student.model in PACKAGED_MODELS:
            return ()
        folder = Path(config.student.model).expanduser()
        return tuple(sorted((*folder.glob("*.json"), *folder.glob("*.safetensors"))))

    def estimate(self, job: Job) -> Estimate:
        """Tokens from characters, seconds from a measured speed."""
        fit = self._fit(job.config)
        rows = prompt = completion = 0
        for example in self._examples(job):
            rows += 1
            prompt += len(example.prompt)
            completion += len(example.completion)
        read = fit.epochs * prompt / _CHARACTERS_PER_TOKEN
        fitted = fit.epochs * completion / _CHARACTERS_PER_TOKEN
        steps = round(fit.epochs * rows / fit.batch_size)
        return Estimate(
            rows=rows,
            prompt_tokens=round(read),
            completion_tokens=round(fitted),
            seconds=round((read + fitted) / _TOKENS_PER_S, 1),
            note=f"{steps} updates at {_TOKENS_PER_S:.0f} tokens/s, as a student of 135 million "
            f"parameters makes them on two cores; far faster on a GPU",
        )

    def run(self, job: Job) -> dict[str, Value]:
        """Fits, or goes on from the last checkpoint."""
        examples = job.folder / ".examples.jsonl"
        write_rows(examples, self._examples(job))
        settings = load_settings().model_copy(update={"student": job.config.student})
        student = prepare_student(settings, job.progress.say)
        base_name = display_name(student)
        result = fit_adapter(
            examples,
            FitSpec(
                student=student,
                base_name=base_name,
                name=self.adapter,
                version=_VERSION,
                fit=self._fit(job.config),
                seed=job.config.seed,
                start_adapter=self._start(job),
                max_rank=job.config.student.max_lora_rank,
                about=_about(job.config),
            ),
            job.folder,
            job.progress,
        )
        counts: dict[str, Value] = {f"{task} examples": n for task, n in result.examples.items()}
        counts |= {f"{task} loss": round(x, 4) for task, x in result.last_task_losses.items()}
        return counts | {
            "too long": result.too_long,
            "tokens per epoch": result.tokens,
            "updates": result.steps,
            "first loss": round(result.first_loss, 4),
            "last loss": round(result.last_loss, 4),
        }

    def _fit(self, config: Config) -> FitConfig:
        return config.fit_sp if self.section == "fit_sp" else config.fit_se

    def _start(self, job: Job) -> Path | None:
        if self.section == "fit_sp":
            return None
        return job.inputs["fit-sp"] / "adapters" / FIT_SP.adapter / _VERSION

    def _examples(self, job: Job) -> Iterator[Example]:
        if self.section == "fit_se":
            yield from read_rows(job.inputs["mix"] / "examples.jsonl", Example)
            return
        train = job.inputs["data"] / "train.jsonl"
        questions = {question.key: question for question in read_rows(train, Question)}
        kept = job.inputs["filter"] / "kept.jsonl"
        for rationale in read_rows(kept, Rationale):
            if rationale.question not in questions:
                raise ConfigurationError(
                    f"{kept}: question: {rationale.question!r} of {rationale.key!r} is not in "
                    f"{train}"
                )
            yield chain_of_thought(questions[rationale.question], rationale)


FIT_SP: Final = Fit("fit-sp", ("data", "filter"), "fit_sp", "sp")
FIT_SE: Final = Fit("fit-se", ("fit-sp", "mix"), "fit_se", "se")


def _about(config: Config) -> str:
    profiles = sorted({source.profile for source in config.data.train})
    teacher = config.teach.teacher
    if teacher.kind == "recorded":
        who = f"recorded in {', '.join(path.name for path in teacher.paths)}"
    elif teacher.kind == "endpoint":
        who = f"of {teacher.model}"
    elif teacher.kind == "local":
        who = f"of {display_name(teacher.student.model)}"
    else:
        who = "of a script, without a model"
    about = f"Train questions of {', '.join(profiles)}; rationales {who}."
    if "bbh" in profiles:
        about += (
            "\nIts authors ask that BIG-Bench Hard stay out of training corpora: this adapter was "
            "fitted on its train split, which every score on BBH has to say."
        )
    return about
