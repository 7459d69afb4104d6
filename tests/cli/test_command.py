"""The command itself: its help, its exit codes, and what it costs to start."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import cano_trio
from cano_trio import cli

if TYPE_CHECKING:
    from tests.cli.conftest import Command, Start

SUBCOMMANDS = {
    "cancel": " TARGET RUN", "check": " TARGET", "doctor": "", "graph": " TARGET", "list": "", "pause": " TARGET RUN",
    "resume": " TARGET RUN", "retry": " TARGET RUN", "rm": " RUN...", "run": " TARGET",
    "send": " TARGET RUN TYPE JSON", "serve": " TARGET", "show": " RUN", "top": "",
}  # fmt: skip
"""All of them, with what each is about."""


def test_version_names_the_package(command: Command) -> None:
    """`--version` is one line with the package's own version."""
    assert command("--version").stdout == f"cano-trio {cano_trio.__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_short_and_names_every_subcommand(command: Command, flag: str) -> None:
    """The help fits on a screen and tells what each subcommand is for."""
    text = command(flag).stdout
    assert len(text.splitlines()) < 30
    assert all(f"\n  {name}  " in text for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(command: Command, name: str) -> None:
    """`cano-trio run --help` and its like tell usage and every option's meaning."""
    text = command(name, "--help").stdout
    assert f"Usage: cano-trio {name} [OPTIONS]{SUBCOMMANDS[name]}\n" in text
    assert "--traceback" in text


def test_a_mistyped_subcommand_is_guessed(command: Command) -> None:
    """A wrong subcommand exits with 2 and names the right one."""
    result = command("rnu", "small.py")
    assert (result.exit_code, "Did you mean 'run'?" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments, code",
    [(["run", "small.py:ok"], 0), (["run", "small.py:failing"], 1), (["run", "small.py:o"], 2), (["run", "--no"], 2)],
    ids=["ok", "failed", "target", "option"],
)
def test_the_process_exits_with_the_promised_code(start: Start, arguments: list[str], code: int) -> None:
    """0 if all is well, 1 if the run failed, 2 if the call is wrong; and never a traceback."""
    process = start(*arguments)
    errors = process.communicate()[1]
    assert (process.returncode, "Traceback" in errors) == (code, False)


def test_without_click_it_says_what_to_install(start: Start) -> None:
    """Without the extra `cli` the command is one line that names it, and exits with 2."""
    without = "import sys; sys.modules['click'] = None; import cano_trio.cli; cano_trio.cli.main()"
    process = start(python=("-c", without))
    assert process.communicate() == (
        "",
        "Error: the command needs click. Install it: pip install 'cano-trio[cli]'\n",
    )
    assert process.returncode == 2


def test_another_missing_module_is_not_blamed_on_click(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only click's absence is explained with the extra; a broken installation shows itself."""
    monkeypatch.delitem(sys.modules, "cano_trio.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "cano_trio.cli.run_data", None)
    with pytest.raises(ModuleNotFoundError, match="run_data"):
        cli.main()


def test_nothing_heavy_is_imported_that_is_not_used(start: Start) -> None:
    """Drawing a graph and running in plain lines load neither rich nor trio.testing."""
    code = (
        "import sys\nfrom cano_trio.cli import main\ntry: main()\nfinally:\n"
        "    print(sorted({'rich', 'trio.testing', 'asyncio', 'pdb'} & set(sys.modules)))"
    )
    for arguments in (["graph", "small.py:ok"], ["run", "small.py:ok"]):
        assert start(*arguments, python=("-c", code)).communicate()[0].splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "variable, value, colours", [("NO_COLOR", "1", False), ("TERM", "dumb", False), ("A", "", None)]
)
def test_colour_is_off_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, colours: object
) -> None:
    """NO_COLOR and a dumb terminal turn colours off; else it is for click to see whether there is a terminal."""
    given: list[object] = []
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    commands = importlib.import_module("cano_trio.cli.commands")
    monkeypatch.setattr(commands.cano_trio, "main", lambda prog_name, color: given.extend([prog_name, color]))
    cli.main()
    assert given == ["cano-trio", colours]


def test_python_m_is_the_same_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m cano_trio` is called cano-trio too."""
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    with pytest.raises(SystemExit) as leaving:
        runpy.run_module("cano_trio", run_name="__main__")
    assert (leaving.value.code, capsys.readouterr().out.startswith("Usage: cano-trio [OPTIONS]")) == (0, True)


def test_the_installed_script_is_declared() -> None:
    """The wheel's `cano-trio` is `cano_trio.cli.main`."""
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'cano-trio = "cano_trio.cli:main"' in declared
    assert isinstance(importlib.import_module("cano_trio.cli.commands").cano_trio, click.Group)
