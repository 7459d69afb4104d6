"""The options that several subcommands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from .._define.checks import check_reason
from .refusal import Refused

F = TypeVar("F", bound=Callable[..., object])

VARIABLE = "CANO_TRIO_JOURNAL"


def with_target(command: F) -> F:
    """The argument and the option of a subcommand that loads a workflow."""
    return click.argument("target")(with_traceback(command))


def with_traceback(command: F) -> F:
    """Whether an error is shown in full."""
    return click.option("--traceback", "full", is_flag=True, help="Show the whole traceback of an error.")(command)


def with_json(command: F) -> F:
    """Whether the answer is a document."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")(command)


def journal_option(command: F, *, required: bool, text: str) -> F:
    """Where runs are written down."""
    option = click.option(
        "--journal", "file", metavar="FILE", type=click.Path(path_type=Path), envvar=VARIABLE, show_envvar=True,
        required=required, help=text,
    )  # fmt: skip
    return option(command)


def with_journal(command: F) -> F:
    """The journal of a subcommand that is about one, and what else these take."""
    return journal_option(
        with_json(with_traceback(command)), required=True, text="The SQLite file in which runs are written down."
    )


def checked_id(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """A run's id as it was typed.

    Raises:
        Refused: it is empty, or no text.
    """
    if given == "":
        raise Refused("a run's id is not empty")
    try:
        (given or "").encode()
    except UnicodeEncodeError:
        raise Refused(f"{given!r} is no run's id: it is no UTF-8") from None
    return given


def with_run(command: F) -> F:
    """The argument that names a run."""
    return click.argument("run_id", metavar="RUN", callback=checked_id)(command)


def with_reason(command: F) -> F:
    """Why somebody wants that of a run."""
    return click.option("--reason", metavar="TEXT", callback=_checked_reason, help="Why, for people.")(command)


def _checked_reason(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    try:
        check_reason(given)
    except ValueError as error:
        raise Refused(str(error)) from None
    return given


def with_detach(command: F) -> F:
    """Whether a run is left to the process that serves its workflow."""
    return click.option(
        "--detach", is_flag=True, help="Leave it to the process that serves its workflow, instead of doing it here."
    )(command)
