"""The command `cano-trio` and its subcommands. What takes long to import is imported where it is needed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .._define.graph import FORMS
from .._engine.lifecycle import Resources
from .._engine.program import Program
from .._errors import DefinitionError, Problem
from .._runtime.workflow import Workflow
from .answers import find, find_valid, refuse_broken, say, watched
from .asking import pause, send, start_elsewhere
from .concluding import conclude
from .extracting import test_case
from .looking_after import doctor, list_runs, rm, show
from .options import checked_id, journal_option, with_detach, with_json, with_target
from .recourse import Recourse
from .refusal import Refused, did_you_mean
from .rehearsal import Rehearsed, rehearse
from .report import errors_of, problems_document
from .run_data import read_data
from .running import run_to_its_end
from .scheduling import schedules
from .serving import serve
from .store import asked, opened
from .taking_up import cancel, resume, retry, run_written_down
from .target import BrokenTarget, find_workflow, states_of
from .top import top
from .wording import count, flat, printable, word


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="cano-trio %(version)s")
def cano_trio() -> None:
    """Run, draw and check cano_trio workflows; look after runs in a journal.

    TARGET is module:workflow or file.py:workflow; the part after the colon may be left out where there is only one.
    """


for _command in (serve, list_runs, show, top, schedules, send, pause, resume, retry, cancel, rm, doctor, test_case):
    cano_trio.add_command(_command)


@cano_trio.command()
@with_target
@click.option("--start", metavar="STATE", help="Begin in this state instead of the initial one.")
@click.option("--data", metavar="JSON", help="The run's data; @FILE reads them from a file, - from stdin.")
@partial(journal_option, required=False, text="Write the run down in this SQLite file, so that no crash loses it.")
@click.option(
    "--run-id", metavar="ID", callback=checked_id, help="The run's id in the journal; go on with it if it is there."
)
@with_detach
@with_json
def run(
    target: str,
    *,
    full: bool,
    start: str | None,
    data: str | None,
    file: Path | None,
    run_id: str | None,
    detach: bool,
    as_json: bool,
) -> None:
    """Run a workflow; its progress goes to stderr, its result to stdout.

    With a journal, the workflow's unfinished run goes on if there is one, and Ctrl-C undoes nothing: the run can go on.

    Exits with 0 if the run reached an exit state, 1 if it failed or was interrupted, 2 if the call is wrong, 3 if it was
    interrupted and can go on.
    """
    workflow = find_valid(target, full=full)
    begin = _state(workflow, start)
    if detach and file is None:
        raise Refused("--detach leaves the run in a journal: say --journal FILE, too")
    if file is not None and detach:
        start_elsewhere(workflow, file, run_id=run_id, start=begin, data=data, full=full, as_json=as_json)
        return
    if file is not None:
        recourse = Recourse(target, file)
        run_written_down(workflow, recourse, run_id=run_id, start=begin, data=data, full=full, as_json=as_json)
        return
    if run_id is not None:
        raise Refused("--run-id names a run in a journal: say --journal FILE, too")
    given = read_data(workflow, data)
    with watched(workflow, as_json=as_json) as progress:
        outcome = run_to_its_end(workflow, given, begin, [progress])
    conclude(workflow, outcome, full=full, as_json=as_json)


@cano_trio.command()
@with_target
@click.option("--format", "form", type=click.Choice(list(FORMS)), default="mermaid", show_default=True)
def graph(target: str, *, full: bool, form: str) -> None:
    """Draw a workflow."""
    workflow = find(target, full=full)
    say(format(workflow, form))
    if wrong := errors_of(workflow.problems()):
        say(f"The workflow has {count(len(wrong), 'error')}: see `cano-trio check {target}`.", err=True)


@cano_trio.command()
@with_target
@click.option(
    "--journal",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also tell which unfinished runs in this SQLite file could not go on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as one JSON document.")
def check(target: str, *, full: bool, file: Path | None, as_json: bool) -> None:
    """Print all that is wrong with a workflow, one problem a line.

    Exits with 1 if anything stops it, or a run of the journal, from running; warnings do not.
    """
    name, states, tasks = target, 0, 0
    rehearsed = None
    try:
        workflow = find_workflow(target)
    except BrokenTarget as error:
        if not isinstance(error.__cause__, DefinitionError):
            refuse_broken(error, full=full)
        problems = error.__cause__.problems  # found as early as in its decorators
    else:
        problems = _all_problems(workflow)
        name, states, tasks = workflow.name, len(states_of(workflow)), len(workflow.blueprint())
        if file is not None and not errors_of(problems):
            rehearsed = _rehearsed(workflow, file, full=full)
    wrong = errors_of(problems)
    blocked = {} if rehearsed is None else rehearsed.blocked
    if as_json:
        say(problems_document(name, states, tasks, problems, None if rehearsed is None else blocked))
    else:
        for problem in problems:
            click.echo(_styled(problem))
        for run_id, why in blocked.items():
            say(f"run {word(run_id)} is blocked by {flat(why)}")
    if wrong or blocked:
        sys.exit(1)
    if not as_json:
        counts = [count(states, "state"), count(tasks, "task")]
        counts += [] if rehearsed is None else [count(rehearsed.runs, "unfinished run")]
        click.echo(f"{click.style('ok', fg='green')}: {', '.join(counts)}")


def _rehearsed(workflow: Workflow[Any, Any], file: Path, *, full: bool) -> Rehearsed:
    """What would come of the workflow's unfinished runs in a journal."""
    resources = workflow.resources if isinstance(workflow.resources, Resources) else Resources()
    if resources.undecided:
        raise Refused("runs can't be looked at: what the workflow's resources are is known when they are set up")
    return asked(opened(file), lambda journal: rehearse(journal, workflow, resources), full=full)


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
