"""The commands: their help, and how they fail."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from typing import Any

import pytest
import typer

from services.cli import main
from services.cli.main import app


def _commands(command: Any, path: str = "nesycd") -> Iterator[tuple[str, Any]]:
    """Every command that runs something, with its full name."""
    inner = getattr(command, "commands", {})
    if not inner:
        yield path, command
    for name, one in inner.items():
        yield from _commands(one, f"{path} {name}")


def _all_commands() -> dict[str, Any]:
    found = dict(_commands(typer.main.get_command(app)))
    for point in entry_points(group="nesycd.commands"):
        found |= _commands(typer.main.get_command(point.load()), f"nesycd {point.name}")
    return found


COMMANDS = _all_commands()


@pytest.fixture(scope="module")
def closed_address() -> str:
    """A local address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_every_command_is_known() -> None:
    # Those of the other packages are listed by their own tests.
    others = ("nesycd kb ", "nesycd train ")
    assert {name for name in COMMANDS if not name.startswith(others)} == {
        "nesycd setup",
        "nesycd serve",
        "nesycd gateway",
        "nesycd ask",
        "nesycd health",
        "nesycd eval",
        "nesycd adapters list",
        "nesycd adapters load",
        "nesycd adapters unload",
        "nesycd entries find",
        "nesycd entries search",
        "nesycd entries get",
        "nesycd entries history",
        "nesycd entries duplicates",
        "nesycd entries create",
        "nesycd entries update",
        "nesycd entries review",
        "nesycd entries retire",
        "nesycd entries revert",
        "nesycd entries revert-batch",
        "nesycd entries merge",
        "nesycd entries outcome",
        "nesycd release list",
        "nesycd release preview",
        "nesycd release create",
        "nesycd release activate",
        "nesycd release rollback",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name: str) -> None:
    epilog = COMMANDS[name].epilog or ""
    assert epilog.startswith("Example: ")
    assert name in epilog


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    silent = [
        option.name
        for option in command.params
        if option.name != "help" and not getattr(option, "help", None)
    ]
    assert silent == []


def test_help_shows_the_example(nesycd: Callable[..., Any]) -> None:
    ended = nesycd("ask", "--help")
    assert ended.code == 0
    assert 'Example: nesycd ask "How many minutes are 2.5 hours?" --mode always' in ended.out


def test_version_is_that_of_the_package(nesycd: Callable[..., Any]) -> None:
    assert nesycd("--version") == (0, f"{version('nesycd')}\n", "")


BAD_ARGUMENTS = [
    (
        ("ask", "q", "--mode", "sometimes"),
        "nesycd: --mode: 'sometimes' is not one of adaptive, always, never\n",
    ),
    (("ask", "q", "--address", "here"), "nesycd: --address: 'here' is not HOST:PORT\n"),
    (("ask", "q", "--address", "here:"), "nesycd: --address: 'here:' is not HOST:PORT\n"),
    (("health", "--address", "h:x"), "nesycd: --address: 'h:x' is not HOST:PORT\n"),
    (("adapters", "list", "--address", ""), "nesycd: --address: '' is not HOST:PORT\n"),
    (
        ("health", "--tls-ca", "missing.pem"),
        "nesycd: --tls-ca: cannot read missing.pem: No such file or directory\n",
    ),
    (
        ("release", "list", "--tls-certificate", "own.pem"),
        "nesycd: --tls-key: is needed beside the other of the two\n",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_a_bad_argument_is_named_in_one_line(
    nesycd: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    ended = nesycd(*arguments)
    assert ended.err == message
    assert ended.out == ""


@pytest.mark.parametrize(("arguments", "_message"), BAD_ARGUMENTS)
def test_a_bad_argument_ends_with_exit_code_2(
    nesycd: Callable[..., Any], arguments: tuple[str, ...], _message: str
) -> None:
    assert nesycd(*arguments).code == 2


@pytest.mark.parametrize("option", ["--top-k", "--max-new-tokens", "--budget-ms"])
@pytest.mark.parametrize("value", ["-1", "4294967296"])
def test_a_number_that_no_request_can_hold_is_named_in_one_line(
    nesycd: Callable[..., Any], closed_address: str, option: str, value: str
) -> None:
    ended = nesycd("ask", "q", option, value, "--address", closed_address)
    assert ended.code == 2
    assert option in ended.err
    assert value in ended.err


@pytest.mark.parametrize(
    "arguments", [("ask",), ("ask", "q", "--top-k", "one"), ("nothing",), ("ask", "q", "--what")]
)
def test_what_the_parser_refuses_ends_with_exit_code_2(
    nesycd: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    ended = nesycd(*arguments)
    assert ended.code == 2
    assert ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "q"),
        ("ask", "q", "--json"),
        ("health",),
        ("health", "--json"),
        ("adapters", "list"),
        ("adapters", "load", "bbh"),
        ("adapters", "unload", "bbh"),
        ("entries", "find"),
        ("entries", "retire", "a"),
        ("release", "list", "--json"),
    ],
)
def test_when_nothing_listens_the_line_says_so(
    nesycd: Callable[..., Any], closed_address: str, arguments: tuple[str, ...]
) -> None:
    assert nesycd(*arguments, "--address", closed_address) == (
        1,
        "",
        f"nesycd: nothing answers at {closed_address}: start the service with `nesycd serve`\n",
    )


def test_the_address_may_come_from_the_environment(
    nesycd: Callable[..., Any], closed_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NESYCD_ADDRESS", closed_address)
    assert f"nothing answers at {closed_address}" in nesycd("health").err


def test_ctrl_c_while_commands_are_imported_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(**_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "entry_points", interrupted)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 130
