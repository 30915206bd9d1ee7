"""What `nesycd kb check` does and prints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import typer

from kb_loader.check import Finding, Severity, check_release
from kb_loader.dump import Dump
from kb_loader.dump_commands import checked
from kb_loader.load import entries_with_vectors
from kb_loader.session import opened_store, print_json, progress
from kb_loader.show import finding_lines, verdict
from kb_loader.source import is_dump, stored
from kb_loader.stats import use_counts
from services.common.records import Entry
from services.common.settings import load_settings
from services.knowledge import embedder as embedders
from services.knowledge.protocol import Vector


def check(source: str, *, strict: bool, similarity: float, as_json: bool) -> int:
    """Checks a release or a dump and prints the report. Returns the exit code."""
    if is_dump(source):
        name, findings = source, asyncio.run(_check_dump(checked(Path(source)), similarity))
    else:
        name, findings = asyncio.run(_check_stored(source, similarity))
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if as_json:
        _print(name, findings)
    else:
        for line in finding_lines(findings):
            typer.echo(line)
        typer.echo(f"{name}: {verdict(findings)}")
    return int(any(finding.severity in failing for finding in findings))


async def _check_dump(dump: Dump, similarity: float) -> list[Finding]:
    embedder = embedders.open_embedder(load_settings())

    async def read() -> AsyncIterator[tuple[Entry, Vector]]:
        for row in entries_with_vectors(dump, embedder):
            yield row

    with progress("Checking") as on_progress:
        return await check_release(read, similarity=similarity, on_progress=on_progress)


async def _check_stored(name: str, similarity: float) -> tuple[str, list[Finding]]:
    async with opened_store() as store:
        source = await stored(store, name)
        with progress("Checking") as on_progress:
            findings = await check_release(
                lambda: store.entries(source.name),
                count_uses=lambda ids: use_counts(store, ids),
                redirects=await store.edits(),
                similarity=similarity,
                on_progress=on_progress,
            )
    return f"release {source.name}", findings


def _print(name: str, findings: Sequence[Finding]) -> None:
    print_json(
        {
            "checked": name,
            "errors": sum(finding.severity is Severity.ERROR for finding in findings),
            "warnings": sum(finding.severity is Severity.WARNING for finding in findings),
            "findings": [
                {
                    "kind": finding.kind,
                    "severity": finding.severity,
                    "entries": finding.entry_ids,
                    "detail": finding.detail,
                }
                for finding in findings
            ],
        }
    )
