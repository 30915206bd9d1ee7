"""What is to be fitted, and what came out of it; both are files as well."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.config import FitConfig
from training.rows import Task


class FitSpec(BaseModel):
    """An adapter to be fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str = Field(min_length=1, description="Folder or Hugging Face id of the base model.")
    base_name: str = Field(
        pattern=r"^[^/.~\\][^\\]*$", description="What the adapter calls it: never a path here."
    )
    name: str = Field(min_length=1, description="Of the adapter.")
    version: str = Field(min_length=1, description="Of the adapter.")
    fit: FitConfig
    seed: int = Field(0, ge=0, lt=2**32)
    start_adapter: Path | None = Field(
        None, description="Folder of an adapter whose weights are the first ones."
    )
    max_rank: int = Field(32, ge=1, description="student.max_lora_rank of the service.")
    about: str = Field("", description="Goes into the card: data, teacher, licences.")

    @property
    def folder(self) -> Path:
        """Where the adapter comes out, within the fit's folder."""
        return Path("adapters") / self.name / self.version


class FitOrder(BaseModel):
    """A fit as `python -m training.fitting` reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: Path = Field(description="JSON Lines of training.rows.Example.")
    spec: FitSpec
    out: Path = Field(description="Folder of the fit.")


class FitResult(BaseModel):
    """What a fit made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: str = Field(description="Folder of the adapter within the fit's folder.")
    examples: dict[Task, int] = Field(description="Fitted on, by training task.")
    max_tokens: int = Field(description="Longest example: configured, or the model's context.")
    too_long: int = Field(description="Left out: longer than max_tokens.")
    weightless: int = Field(description="Left out: of weight 0.")
    tokens: int = Field(description="Prompt and completion tokens of one epoch.")
    response_tokens: int = Field(description="Those of them that the loss is on.")
    parameters: int = Field(description="Numbers that were fitted.")
    steps: int = Field(description="Updates.")
    learning_rate: float = Field(description="At its highest.")
    precision: str = Field(description="The number format it was computed in.")
    first_loss: float = Field(description="Mean of the first tenth of the updates.")
    last_loss: float = Field(description="Mean of the last tenth of the updates.")
    last_task_losses: dict[Task, float] = Field(description="The same by task, per token.")
