"""What the fit costs over a bare loop: same student, rows, passes and number format, one run.

    NESYCD_TEST_DATA=/path/to/data python -m bench.training         # 5 rounds of 8 updates
    NESYCD_TEST_DATA=... python -m bench.training --rounds 3 --updates 4

Side "fit" is `FitTrainer`: every update with its batches made, optimizer step, learning rate and
row of losses. Side "bare" is forward and backward alone over the very same batches, made
beforehand, on a model of its own with logits at the responses only. Side "plain" is what one
would write first: the model's own loss, with all logits, on prompts masked by -100. Sides take
turns, round by round, so that a change in the machine's speed meets all. Rows are correct
rationales of BBH's train half; nothing of a result is kept.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peft.helpers import disable_input_dtype_casting
from rich.console import Console
from rich.table import Table

from bench import record
from services.common import prompts
from services.common.settings import Settings
from services.student.models import display_name, prepare_student
from training.config import FitConfig
from training.fitting.batches import MicroBatches
from training.fitting.fit import share_the_processor
from training.fitting.loss import Batch, Collate, token_losses
from training.fitting.losses import Loss
from training.fitting.model import build_model, learning_rate, number_format, read_base
from training.fitting.spec import FitSpec
from training.fitting.tokens import Tokenized, load_tokenizer, tokenize
from training.fitting.trainer import FitTrainer, Plan
from training.row_file import RowFile
from training.rows import Example

RATIONALES = "bbh-train-teacher-code-davinci-002.jsonl.gz"


def rows(student: str, count: int, *, salt: int) -> Tokenized:
    """Rows of rationales drawn anew for each salt."""
    folder = os.environ.get("NESYCD_TEST_DATA")
    if not folder:
        sys.exit("NESYCD_TEST_DATA: name the folder that holds " + RATIONALES)
    with gzip.open(Path(folder) / RATIONALES) as file:
        found = [row for line in file if (row := json.loads(line))["correct"]]
    drawn = random.Random(salt).sample(found, count)  # noqa: S311 - no secret
    examples = [
        Example(
            key=row["id"],
            task="DC",
            question=row["id"],
            prompt=prompts.render_dc(row["question"]),
            completion=f" {row['rationale']}",
        )
        for row in drawn
    ]
    tokenizer, end_id = load_tokenizer(student)
    return tokenize(examples, tokenizer, end_id=end_id, max_tokens=4096)


def passes(data: Tokenized, spec: FitSpec) -> list[Batch]:
    """The batches of the fit, in its order."""
    collate = Collate(spec.fit.loss_reduction, pad_id=0)
    numbers = MicroBatches(
        [len(row.ids) for row in data.rows],
        batch_size=spec.fit.batch_size,
        micro_batch_size=spec.fit.micro_batch_size,
        seed=spec.seed,
    )
    return [collate([data.rows[number] for number in batch]) for batch in numbers]


def fit(model: Any, data: Tokenized, spec: FitSpec) -> float:
    """Seconds of the updates of one epoch: from before the first batch to the last row."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RowFile(Path(folder) / "losses.jsonl", Loss) as losses,
    ):
        plan = Plan(
            fit=spec.fit,
            seed=spec.seed,
            learning_rate=learning_rate(spec.fit, model),
            precision=number_format(spec.fit.precision),
            checkpoints=Path(folder),
            losses=losses,
        )
        trainer = FitTrainer(model, data, plan)
        ends: list[float] = []
        start = time.perf_counter()
        trainer.run(lambda _count=1, /: ends.append(time.perf_counter()))
    # The checkpoint after the last update is left out: it comes once in `save_steps` updates.
    return ends[-1] - start


def bare(model: Any, batches: list[Batch]) -> float:
    """Seconds of forward and backward with logits at the responses."""
    head = model.get_base_model().get_output_embeddings()

    def losses() -> Iterator[torch.Tensor]:
        for batch in batches:
            yield (token_losses(model, head, batch) * batch["counts"]).sum()

    return loop(model, losses())


def plain(model: Any, batches: list[Batch]) -> float:
    """Seconds of forward and backward with the model's own loss."""

    def losses() -> Iterator[torch.Tensor]:
        for batch in batches:
            labels = torch.full_like(batch["input_ids"], -100)
            labels.view(-1)[batch["positions"] + 1] = batch["targets"]
            yield model(input_ids=batch["input_ids"], labels=labels, use_cache=False).loss

    return loop(model, losses())


def loop(model: Any, losses: Iterator[torch.Tensor]) -> float:
    """Seconds of all losses, each brought down the model."""
    dtype = number_format("auto")
    start = time.perf_counter()
    with disable_input_dtype_casting(model, active=dtype == "bfloat16"):
        while True:
            with torch.autocast("cpu", getattr(torch, dtype), enabled=dtype == "bfloat16"):
                loss = next(losses, None)
            if loss is None:
                break
            loss.backward()
    for parameter in model.parameters():
        parameter.grad = None
    return time.perf_counter() - start


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Takes turns."""
    student = prepare_student(Settings(), print)
    config = FitConfig(epochs=1, micro_batch_size=arguments.micro_batch_size)
    spec = FitSpec(
        student=student, base_name=display_name(student), name="x", version="v1", fit=config
    )
    base = read_base(student)
    fitted, untouched = build_model(spec, base), build_model(spec, base)
    count = arguments.updates * config.batch_size
    rates: dict[str, list[float]] = {"fit": [], "bare": [], "plain": []}
    tokens = 0
    for number in range(arguments.rounds + 1):
        data = rows(student, count, salt=number)
        batches = passes(data, spec)
        read = sum(int(batch["read"].sum()) for batch in batches)
        sides = {
            "fit": lambda data=data: fit(fitted, data, spec),
            "bare": lambda batches=batches: bare(untouched, batches),
            "plain": lambda batches=batches: plain(untouched, batches),
        }
        order = list(sides) if number % 2 else list(reversed(sides))
        taken = {name: sides[name]() for name in order}
        if number == 0:
            continue  # first passes are slow
        tokens += read
        for name, seconds in taken.items():
            rates[name].append(read / seconds)
        print(number, {name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    return {
        "rounds": arguments.rounds,
        "updates_per_round": arguments.updates,
        "tokens_per_side": tokens,
        "precision": number_format("auto"),
        "threads": torch.get_num_threads(),
        "tokens_per_s": {name: round(median(values), 1) for name, values in rates.items()},
        "ratio_to_bare": ratio(rates["fit"], rates["bare"]),
        "ratio_to_plain": ratio(rates["fit"], rates["plain"]),
    }


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median and spread over the rounds."""
    each = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {
        "median": round(median(each), 3),
        "min": round(min(each), 3),
        "max": round(max(each), 3),
    }


def main() -> None:
    """Parses, measures, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--updates", type=int, default=8, help="per turn, of 8 rows each")
    parser.add_argument("--micro-batch-size", type=int, default=4, help="rows per pass")
    parser.add_argument("--name", default="training", help="of the result file")
    arguments = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:  # as a fit does, but torch is imported here already
        share_the_processor()
        command = [sys.executable, "-m", "bench.training", *sys.argv[1:]]
        os.execv(sys.executable, command)  # noqa: S606 - this very command
    manifest = record.manifest(vars(arguments), ["torch", "transformers", "peft", "accelerate"])
    result: dict[str, Any] = {"manifest": manifest} | compare(arguments)
    print(f"written to {record.write(arguments.name, result)}")
    table = Table(title=f"fit against a bare loop, {result['rounds']} rounds")
    table.add_column("")
    for name in result["tokens_per_s"]:
        table.add_column(f"{name}, tokens/s")
    table.add_column("fit / bare (min-max)")
    table.add_column("fit / plain (min-max)")
    spreads = [
        f"{found['median']} ({found['min']}-{found['max']})"
        for found in (result["ratio_to_bare"], result["ratio_to_plain"])
    ]
    table.add_row(result["precision"], *map(str, result["tokens_per_s"].values()), *spreads)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
