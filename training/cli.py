"""`nesycd train`: from a teacher to adapters and knowledge. Thin: parse, call, print."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.stages import STAGES

app = typer.Typer(
    help="Make adapters and knowledge dumps from a teacher, and evaluate them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_File = Annotated[Path, typer.Argument(help="The run's configuration, TOML.", metavar="CONFIG")]
_Data = Annotated[
    Path | None,
    typer.Option(help="Folder at which relative paths in it start.", show_default="that of CONFIG"),
]
_Out = Annotated[
    Path | None,
    typer.Option(help="Run folder; several runs may share one.", show_default="runs/NAME"),
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan and what it would cost; no more.")
]
_Ray = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS", help="Spread rows over this Ray cluster; `local` starts one here."
    ),
]
_RayWorkers = Annotated[
    int,
    typer.Option(min=0, help="Processes on it. 0: one per GPU, or per machine without GPUs."),
]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _add(name: str, summary: str, *, last: str) -> None:
    """A command that runs the stages up to `last`; "" for all."""

    @app.command(
        name, help=summary, epilog=f"Example: nesycd train {name} bbh-smollm2.toml --out runs/bbh"
    )
    def bring_to_its_end(
        config: _File,
        *,
        data: _Data = None,
        out: _Out = None,
        dry_run: _DryRun = False,
        ray: _Ray = "",
        ray_workers: _RayWorkers = 0,
        quiet: _Quiet = False,
        as_json: _Json = False,
    ) -> None:
        from training import commands
        from training.worker import RayCluster

        place = commands.Place(config, data, out)
        if dry_run:
            raise typer.Exit(commands.show_plan(place, last=last, as_json=as_json))
        cluster = RayCluster(ray, ray_workers) if ray else None
        raise typer.Exit(
            commands.run(place, last=last, cluster=cluster, quiet=quiet, as_json=as_json)
        )


_add(
    "run",
    "Run all stages. Finished ones are left alone; what was killed goes on where it was.",
    last="",
)


@app.command(epilog="Example: nesycd train status bbh-smollm2.toml --out runs/bbh")
def status(config: _File, *, data: _Data = None, out: _Out = None, as_json: _Json = False) -> None:
    """Show where every stage stands, and what it has made so far."""
    from training import commands

    raise typer.Exit(commands.status(commands.Place(config, data, out), as_json=as_json))


@app.command(epilog="Example: nesycd train check bbh-smollm2.toml")
def check(config: _File, *, data: _Data = None, out: _Out = None, as_json: _Json = False) -> None:
    """Check a configuration, its files, models, teachers and keys; `run` does this first."""
    from training import commands

    raise typer.Exit(commands.check(commands.Place(config, data, out), as_json=as_json))


@app.command(epilog="Example: nesycd train systems")
def systems(*, as_json: _Json = False) -> None:
    """List the systems that `evaluate.systems` of a configuration may name."""
    from training.evaluation.command import show_systems

    show_systems(as_json=as_json)


for _stage in STAGES:
    _add(
        _stage.name,
        f"{_stage.summary} Runs this stage, and first those it needs.",
        last=_stage.name,
    )
