"""The command `cano-trio` and its subcommands. What takes long to import is imported where it is needed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from enum import Enum
from typing import Any, NoReturn, TypeVar

import click

from .. import __version__
from .._define.graph import FORMS
from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._errors import DefinitionError, Problem
from .._runtime.workflow import Workflow
from .progress import shown_progress
from .refusal import Refused, did_you_mean
from .report import document, errors_of, failure_text, problems_document, result_text, rollback_text
from .run_data import read_data
from .running import Outcome, run_to_its_end
from .target import BrokenTarget, find_workflow, states_of
from .wording import count, printable

F = TypeVar("F", bound=Callable[..., object])


def _with_target(command: F) -> F:
    """The argument and the option that every subcommand takes."""
    trace = click.option("--traceback", "full", is_flag=True, help="Show the whole traceback of an error.")
    return click.argument("target")(trace(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="cano-trio %(version)s")
def cano_trio() -> None:
    """Run, draw and check cano_trio workflows.

    TARGET is module:workflow or file.py:workflow; the part after the colon may be left out where there is only one.
    """


@cano_trio.command()
@_with_target
@click.option("--start", metavar="STATE", help="Begin in this state instead of the initial one.")
@click.option("--data", metavar="JSON", help="The run's data; @FILE reads them from a file, - from stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def run(target: str, *, full: bool, start: str | None, data: str | None, as_json: bool) -> None:
    """Run a workflow; its progress goes to stderr, its result to stdout.

    Exits with 0 if the run reached an exit state, 1 if it failed or was interrupted, 2 if the call is wrong.
    """
    workflow = _find(target, full=full)
    try:
        workflow.validate()
    except DefinitionError as error:
        _fail(error, full=full)
    begin = _state(workflow, start)
    given = read_data(workflow, data)
    with redirect_stdout(sys.stderr) if as_json else nullcontext(), shown_progress(workflow) as progress:
        outcome = run_to_its_end(workflow, given, begin, [progress])
    if as_json:
        _say(document(workflow, outcome))
    _conclude(outcome, full=full, quiet=as_json)


@cano_trio.command()
@_with_target
@click.option("--format", "form", type=click.Choice(list(FORMS)), default="mermaid", show_default=True)
def graph(target: str, *, full: bool, form: str) -> None:
    """Draw a workflow."""
    workflow = _find(target, full=full)
    _say(format(workflow, form))
    if wrong := errors_of(workflow.problems()):
        _say(f"The workflow has {count(len(wrong), 'error')}: see `cano-trio check {target}`.", err=True)


@cano_trio.command()
@_with_target
@click.option("--json", "as_json", is_flag=True, help="Print the problems as one JSON document.")
def check(target: str, *, full: bool, as_json: bool) -> None:
    """Print all that is wrong with a workflow, one problem a line.

    Exits with 1 if anything stops it from running; warnings do not.
    """
    name, states, tasks = target, 0, 0
    try:
        workflow = find_workflow(target)
    except BrokenTarget as error:
        if not isinstance(error.__cause__, DefinitionError):
            _refuse(error, full=full)
        problems = error.__cause__.problems  # found as early as in its decorators
    else:
        problems = _all_problems(workflow)
        name, states, tasks = workflow.name, len(states_of(workflow)), len(workflow.blueprint())
    wrong = errors_of(problems)
    if as_json:
        _say(problems_document(name, states, tasks, problems))
    else:
        for problem in problems:
            click.echo(_styled(problem))
        if not wrong:
            click.echo(f"{click.style('ok', fg='green')}: {count(states, 'state')}, {count(tasks, 'task')}")
    if wrong:
        sys.exit(1)


def _say(text: str, *, err: bool = False) -> None:
    """Print a text that has the user's own words in it; a terminal must not take these for commands."""
    click.echo(printable(text), err=err)


def _say_traceback(error: BaseException) -> None:
    _say("".join(traceback.format_exception(error)).rstrip("\n"), err=True)


def _find(target: str, *, full: bool) -> Workflow[Any, Any]:
    try:
        return find_workflow(target)
    except BrokenTarget as error:
        _refuse(error, full=full)


def _refuse(error: BrokenTarget, *, full: bool) -> NoReturn:
    if full and error.__cause__ is not None:
        _say_traceback(error.__cause__)
    raise Refused(str(error))


def _fail(error: Exception, *, full: bool) -> NoReturn:
    _say_failure(error, full=full)
    sys.exit(1)


def _say_failure(error: Exception, *, full: bool) -> None:
    if full:
        _say_traceback(error)
    _say(failure_text(error), err=True)


def _conclude(outcome: Outcome, *, full: bool, quiet: bool) -> None:
    """Say how the run ended, and exit with the code for it."""
    if outcome.result is None:
        path = outcome.course.path
        if outcome.error is not None:
            _say_failure(outcome.error, full=full)
        else:
            _say(f"interrupted in {path[-1].name}" if path else "interrupted before the first state", err=True)
        if outcome.course.rollback is not None:
            _say(rollback_text(outcome.course.rollback), err=True)
        sys.exit(1)
    if not quiet:
        _say(result_text(outcome.result.state.name, outcome.result.data))


def _state(workflow: Workflow[Any, Any], name: str | None) -> Enum | None:
    """The state to start in."""
    if name is None:
        return None
    states: Mapping[str, Enum] = workflow.states.__members__
    usable = {one: state for one, state in states.items() if state in workflow.exits or state in workflow.blueprint()}
    if name not in usable:
        what = "has no task to start with in workflow" if name in states else "is no state of workflow"
        raise Refused(f"{name!r} {what} {workflow.name}{did_you_mean(name, usable, 'There are')}")
    return usable[name]


def _all_problems(workflow: Workflow[Any, Any]) -> tuple[Problem, ...]:
    """What is wrong with the definition, and with the resources it comes with, if it does."""
    problems = workflow.problems()
    resources = workflow.resources
    if errors_of(problems) or not isinstance(resources, Resources) or resources.undecided:
        return problems
    try:
        Program.of(workflow, resources)
    except DefinitionError as error:
        return (*problems, *error.problems)
    return problems


def _styled(problem: Problem) -> str:
    """A problem as `str` gives it, coloured."""
    code = click.style(problem.code, fg="red" if problem.severity == "error" else "yellow", bold=True)
    return printable(str(problem)).replace(problem.code, code, 1)
