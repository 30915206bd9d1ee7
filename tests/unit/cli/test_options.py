"""Options that several commands share: said once, offered alike."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from services.cli.options import EditOptions, with_edit_options


def test_a_command_that_edits_gets_the_shared_options_after_its_own() -> None:
    app, got = typer.Typer(add_completion=False), []

    @app.command()
    @with_edit_options
    def rename(entry_id: str, *, to: str = "", options: EditOptions) -> None:
        got.append((entry_id, to, options))

    shown = " ".join(one.name for one in typer.main.get_command(app).params)
    assert shown == (
        "entry_id to address tls tls_ca tls_certificate tls_key actor reason batch as_json"
    )
    words = ["a", "--reason", "why", "--to", "b", "--json", "--address", "h:1"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert got == [("a", "b", EditOptions(reason="why", address="h:1", as_json=True))]
