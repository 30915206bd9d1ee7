"""`nesycd eval`: any system on any benchmark, without a training run. Thin: parse and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(
    invoke_without_command=True,
    subcommand_metavar="",
    epilog="Example: nesycd eval --profile bbh --data bbh-test.jsonl.gz --system base --out eval-1",
)
def evaluate(
    *,
    list_systems: Annotated[
        bool, typer.Option("--list", help="List the systems, and do no more.")
    ] = False,
    profile: Annotated[
        str, typer.Option(help="How rows are read: bbh, gsm8k, svamp, agieval, arc_...")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(help="Questions: JSON Lines, `.gz` or not.", show_default=False)
    ] = None,
    hub: Annotated[str, typer.Option(help="Or: a Hugging Face dataset id.")] = "",
    subset: Annotated[str, typer.Option(help="Of the Hugging Face dataset.")] = "",
    split: Annotated[str, typer.Option(help="Of the dataset; empty: the profile's.")] = "",
    revision: Annotated[str, typer.Option(help="Of the dataset; empty: the newest.")] = "",
    max_examples: Annotated[
        int | None,
        typer.Option(help="Most questions, drawn evenly over the tasks.", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that draw.")] = 0,
    system: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="May be given several times; see --list.", show_default="base"
        ),
    ] = None,
    adapters_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of adapters.", show_default="setting student.adapters_dir"),
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(help="NAME@VERSION, instead of the sp@v1 or se@v1 that the systems name."),
    ] = "",
    dump: Annotated[
        Path | None, typer.Option(help="Folder of the knowledge.", show_default=False)
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Of the gate, for adaptive systems.",
            show_default="setting reasoner.gate_threshold",
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Per answer.")] = 512,
    in_flight: Annotated[int, typer.Option(min=1, help="Questions at a time, per process.")] = 64,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of attempts, results and report; goes on where it stands."),
    ] = None,
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Spread questions over this Ray cluster; `local` starts one."
        ),
    ] = "",
    ray_workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on it.", show_default="one per GPU or machine"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Evaluate systems on a benchmark, through the pipeline that serves, and write a report.

    The student is that of the settings (NESYCD_STUDENT__MODEL and so on). Run again with the
    same --out, it goes on where it ended; systems and questions may be added.
    """
    from training.evaluation import command  # noqa: PLC0415 - brings the knowledge base

    if list_systems:
        command.show_systems(as_json=as_json)
        return
    command.evaluate(
        command.Asking(
            profile=profile,
            data=data,
            hub=hub,
            subset=subset,
            split=split,
            revision=revision,
            max_examples=max_examples,
            seed=seed,
            systems=tuple(system or ["base"]),
            adapters_dir=adapters_dir,
            adapter=adapter,
            dump=dump,
            threshold=threshold,
            max_new_tokens=max_new_tokens,
            in_flight=in_flight,
            out=out,
            ray=ray,
            ray_workers=ray_workers,
        ),
        as_json=as_json,
    )
