"""A fit in this process, alone or beside others that a launcher started."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import SafetensorError

from services.common.errors import ConfigurationError
from services.student.adapters import read_adapter
from training.fitting import checkpoints
from training.fitting.adapter_files import write_adapter
from training.fitting.card import card
from training.fitting.folder import FitFolder
from training.fitting.losses import Loss, drop_after, mean_loss, mean_task_losses
from training.fitting.model import Base, build_model, learning_rate, number_format, read_base
from training.fitting.spec import FitOrder, FitResult, FitSpec
from training.fitting.tokens import Tokenized, load_tokenizer, tokenize
from training.fitting.trainer import FitTrainer, Plan
from training.manifest import file_checksum
from training.progress import Progress
from training.row_file import RowFile, read_rows
from training.rows import Example


def fit_here(order: FitOrder, progress: Progress) -> FitResult:
    """Fits, or goes on from the last checkpoint; see `fit.fit_adapter`.

    The folder is the order's (`FitFolder.claim`) and not finished. Only the process of rank 0
    writes; the others return the same result.
    """
    spec, folder = order.spec, FitFolder(order.out)
    is_main = os.environ.get("RANK", "0") == "0"
    base = read_base(spec.student)
    data = _read_data(order, base)
    model = build_model(spec, base)
    if is_main:
        _check_served(model, spec, base, folder)
    resumed = checkpoints.last_whole(folder.checkpoints)
    done = checkpoints.step_of(resumed) if resumed else 0
    with ExitStack() as stack:
        losses = None
        if is_main:
            checkpoints.drop_torn(folder.checkpoints)
            drop_after(folder.losses, done)
            losses = stack.enter_context(RowFile(folder.losses, Loss))
        plan = Plan(
            fit=spec.fit,
            seed=spec.seed,
            learning_rate=learning_rate(spec.fit, model),
            precision=number_format(spec.fit.precision),
            checkpoints=folder.checkpoints,
            losses=losses,
        )
        trainer = FitTrainer(model, data, plan)
        advance = stack.enter_context(
            progress.bar(f"fit {spec.name}@{spec.version}", trainer.steps, done=done)
        )
        trainer.run(advance, resume_from=resumed)
    rows = sorted(read_rows(folder.losses, Loss), key=lambda row: row.step)
    tenth = max(1, len(rows) // 10)
    result = FitResult(
        adapter=spec.folder.as_posix(),
        examples=data.counts,
        max_tokens=_longest(spec, base),
        too_long=data.too_long,
        weightless=data.weightless,
        tokens=sum(len(row.ids) for row in data.rows),
        response_tokens=sum(row.response_tokens for row in data.rows),
        parameters=sum(one.numel() for one in model.parameters() if one.requires_grad),
        steps=trainer.steps,
        learning_rate=plan.learning_rate,
        precision=plan.precision,
        first_loss=mean_loss(rows[:tenth]),
        last_loss=mean_loss(rows[-tenth:]),
        last_task_losses=mean_task_losses(rows[-tenth:]),
    )
    if is_main:
        _publish(model, order, base, result)
    return result


def _read_data(order: FitOrder, base: Base) -> Tokenized:
    # A file that is not there holds no rows; here it is a mistake.
    if not order.examples.is_file():
        raise ConfigurationError(f"{order.examples}: there is no such file")
    examples = list(read_rows(order.examples, Example))
    failed = next((row for row in examples if row.error or not row.completion.strip()), None)
    if failed is not None:
        reason = failed.error or "its completion is empty"
        raise ConfigurationError(f"{order.examples}: {failed.key} cannot be fitted on: {reason}")
    tokenizer, end_id = load_tokenizer(order.spec.student)
    longest = _longest(order.spec, base)
    data = tokenize(examples, tokenizer, end_id=end_id, max_tokens=longest)
    if not data.rows:
        raise ConfigurationError(
            f"{order.examples}: nothing is left to fit on: of {len(examples)} examples "
            f"{data.too_long} are longer than {longest} tokens, {data.weightless} have weight 0"
        )
    return data


def _longest(spec: FitSpec, base: Base) -> int:
    return min(spec.fit.max_tokens, base.max_tokens)


def _check_served(model: object, spec: FitSpec, base: Base, folder: FitFolder) -> None:
    """Writes the adapter as it is before the first update, and has the service's checks read it."""
    probe = folder.scratch / "probe"
    try:
        write_adapter(model, probe, dtype=torch.bfloat16, base_name=spec.base_name)
        _refuse_unserved(probe, spec, base)
    except (OSError, SafetensorError) as error:
        raise ConfigurationError(f"{probe} cannot be written: {error}") from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def _refuse_unserved(path: Path, spec: FitSpec, base: Base) -> None:
    _, refusal = read_adapter(path, max_rank=spec.max_rank, base=base.shape)
    if refusal:
        raise ConfigurationError(
            f"the service could not serve {spec.name}@{spec.version}: {refusal}"
        )


def _publish(model: object, order: FitOrder, base: Base, result: FitResult) -> None:
    """Puts the adapter in its place, whole or not at all."""
    spec, folder = order.spec, FitFolder(order.out)
    target = order.out / spec.folder
    part = target.with_name(f".{target.name}.part")
    text = card(spec, result, examples_sha256=file_checksum(order.examples))
    try:
        shutil.rmtree(part, ignore_errors=True)
        write_adapter(model, part, dtype=torch.bfloat16, base_name=spec.base_name)
        (part / "README.md").write_text(text, encoding="utf-8")
        _refuse_unserved(part, spec, base)
        if target.exists():
            shutil.rmtree(target)  # of a run that was killed between here and the next step
        part.rename(target)
        folder.finish(result)
    except (OSError, SafetensorError) as error:
        raise ConfigurationError(
            f"{target} cannot be written: {error}. Make room and run the same command again."
        ) from error
