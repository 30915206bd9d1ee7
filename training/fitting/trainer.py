"""transformers' `Trainer` with our loss, our order of rows, and a row per update."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft.helpers import disable_input_dtype_casting
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from services.common.errors import ConfigurationError
from training.config import FitConfig
from training.fitting import checkpoints
from training.fitting.adapter_files import write_adapter
from training.fitting.batches import MicroBatches
from training.fitting.loss import Batch, Collate, token_losses
from training.fitting.losses import TASKS, Loss
from training.fitting.tokens import Tokenized, TokenRow
from training.progress import Advance
from training.row_file import RowFile

_KEPT = 2
"""Checkpoints: the newest may be torn."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """What the trainer is told.

    Attributes:
        fit: hyper-parameters.
        seed: of the order of the rows, and of dropout.
        learning_rate: at its highest.
        precision: number format, bfloat16 or float32.
        checkpoints: folder.
        losses: open in the main process, None in the others.
    """

    fit: FitConfig
    seed: int
    learning_rate: float
    precision: str
    checkpoints: Path
    losses: RowFile[Loss] | None


class _Loader(DataLoader[TokenRow]):  # type: ignore[misc]
    """Tells its batch sampler the epoch, as the Trainer expects of accelerate's own loaders."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


class _Advance(TrainerCallback):  # type: ignore[misc]
    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._advance(1)


class FitTrainer(Trainer):  # type: ignore[misc]
    """Brings `loss` down.

    Args:
        model: of `model.build_model`.
        data: at least one row.
        plan: everything else.
    """

    loss_is_scaled_for_ga = True
    """The loss is divided by a number for the whole update: nobody divides it again."""

    def __init__(self, model: Any, data: Tokenized, plan: Plan) -> None:
        arguments = _arguments(plan)
        _check_shares(plan.fit, arguments.world_size)
        self._plan = plan
        shortest = min(data.rows, key=lambda row: len(row.ids))
        self._batches = MicroBatches(
            [len(row.ids) for row in data.rows],
            batch_size=plan.fit.batch_size,
            micro_batch_size=plan.fit.micro_batch_size,
            seed=plan.seed,
            process=arguments.process_index,
            processes=arguments.world_size,
        )
        arguments.gradient_accumulation_steps = self._batches.per_update
        self.steps = math.ceil(plan.fit.epochs * self._batches.updates)
        arguments.max_steps = self.steps
        arguments.warmup_steps = round(plan.fit.warmup_share * self.steps)
        self._counted = data.weight_per_row(plan.fit.loss_reduction) * plan.fit.batch_size
        self._head = model.get_base_model().get_output_embeddings()
        super().__init__(
            model,
            arguments,
            data_collator=Collate(plan.fit.loss_reduction, pad_id=shortest.ids[-1]),
            train_dataset=[*data.rows, shortest.as_filler()],
        )
        self.remove_callback(PrinterCallback)
        # By task: sum of losses, tokens; then over all: weighted sum of losses, weights, and the
        # tokens read.
        self._sums = torch.zeros(2 * len(TASKS) + 3, device=self.args.device)
        self._update_began_at = 0.0

    def run(self, advance: Advance, *, resume_from: Path | None = None) -> None:
        """Makes all updates, or those after a checkpoint; `advance` is called for each.

        Raises: ConfigurationError when the loss is no number, or the disk is full.
        """
        if resume_from is not None and checkpoints.step_of(resume_from) == self.steps:
            # The Trainer would make one more update.
            self._load_from_checkpoint(str(resume_from))
            return
        self.add_callback(_Advance(advance))
        # Under autocast PEFT would bring the input to float32, only for it to be brought back.
        with disable_input_dtype_casting(self.model, active=self._plan.precision == "bfloat16"):
            self.train(resume_from_checkpoint=str(resume_from) if resume_from else None)

    def get_train_dataloader(self) -> DataLoader[TokenRow]:
        """This process's share of every update; accelerate has nothing left to divide."""
        return _Loader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_batch_samples(
        self,
        epoch_iterator: Any,
        num_batches: int,
        device: torch.device,  # noqa: ARG002
    ) -> tuple[list[Batch], float]:
        """The passes of one update, and the fixed number that its loss is divided by."""
        self._update_began_at = time.perf_counter()
        return [next(epoch_iterator) for _ in range(num_batches)], self._counted

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: float | None = None,
    ) -> torch.Tensor:
        """One pass's part of the update's loss."""
        del return_outputs, num_items_in_batch  # nobody asks for outputs; the number is ours
        losses = token_losses(model, self._head, inputs)
        weighted = (losses * inputs["counts"]).sum()
        self._add_up(inputs, losses.detach(), weighted.detach())
        # Gradients are averaged over processes, and have to be added up.
        return weighted / self._counted * self.accelerator.num_processes

    def _add_up(self, inputs: Batch, losses: torch.Tensor, weighted: torch.Tensor) -> None:
        real = inputs["tasks"] >= 0
        tasks, size = inputs["tasks"][real], len(TASKS)
        self._sums[:size].index_add_(0, tasks, losses[real])
        self._sums[size : 2 * size].index_add_(0, tasks, torch.ones_like(losses[real]))
        self._sums[-3:] += torch.stack(
            [weighted, inputs["counts"].sum(), inputs["read"].float().sum()]
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:  # noqa: ARG002
        """Writes the row of the update just made, and stops when there is nothing to go on from.

        Raises: ConfigurationError when the loss is no number, or the row cannot be written.
        """
        if "learning_rate" not in logs:
            return  # the Trainer's summary at the end
        sums = self.accelerator.reduce(self._sums).tolist()
        self._sums.zero_()
        size, step = len(TASKS), self.state.global_step
        weighted, weights, tokens = sums[-3:]
        loss, norm = weighted / weights, logs.get("grad_norm", 0.0)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ConfigurationError(
                f"the loss is {loss} and its gradient {norm} at update {step}: try a lower "
                f"learning_rate than {self._plan.learning_rate}, or precision = 'float32'"
            )
        if self._plan.losses is not None:
            self._plan.losses.append(
                Loss(
                    key=str(step),
                    step=step,
                    epoch=round(self.state.epoch, 4),
                    learning_rate=logs["learning_rate"],
                    loss=round(loss, _DIGITS),
                    tasks={
                        task: round(total / count, _DIGITS)
                        for task, total, count in zip(
                            TASKS, sums[:size], sums[size : 2 * size], strict=True
                        )
                        if count
                    },
                    gradient_norm=round(norm, _DIGITS),
                    tokens_per_s=round(tokens / (time.perf_counter() - self._update_began_at), 1),
                )
            )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                checkpoints.mark_whole(self._plan.checkpoints, self.state.global_step)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(
                f"{self._plan.checkpoints} cannot be written: {error}. The last whole checkpoint "
                f"is kept; make room and run the same command again."
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        write_adapter(
            self.accelerator.unwrap_model(self.model),
            Path(output_dir or self.args.output_dir),
            dtype=torch.float32,
            base_name="",
        )


def _arguments(plan: Plan) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(plan.checkpoints),
        per_device_train_batch_size=plan.fit.micro_batch_size,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=plan.precision == "bfloat16",
        use_cpu=not on_gpu,
        gradient_checkpointing=False,  # it trades time for memory, which a CPU has
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=plan.fit.save_steps,
        save_total_limit=_KEPT,
        seed=plan.seed,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=on_gpu,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
    )
    if arguments.n_gpu > 1:
        # More GPUs are for more processes: without this the Trainer would split batches itself.
        arguments._n_gpu = 1  # noqa: SLF001 - there is no other way to say so
    return arguments


def _check_shares(fit: FitConfig, processes: int) -> None:
    if fit.batch_size % (fit.micro_batch_size * processes):
        raise ConfigurationError(
            f"micro_batch_size = {fit.micro_batch_size} of {processes} processes does not divide "
            f"batch_size = {fit.batch_size}"
        )
