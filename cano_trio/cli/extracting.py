"""A state of a run in a journal, made a test case of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import click
import msgspec

from .._journal.protocol import Journal
from .._runtime.workflow import Workflow
from .answers import find_valid, say
from .case_text import Home, case_text
from .options import with_journal, with_run
from .recorded_state import RecordedState, Records
from .refusal import Refused, did_you_mean
from .report import json_text
from .run_data import source_of
from .store import asked, opened, stored_of
from .target import home_of
from .wording import word


@click.command("test-case")
@click.argument("target")
@with_run
@click.argument("state", metavar="STATE")
@with_journal
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write the test into this file, a new one."
)
@click.option("--data", metavar="JSON", help="What data the run came there with, where that is not written down.")
def test_case(
    target: str,
    run_id: str,
    state: str,
    file: Path,
    *,
    full: bool,
    as_json: bool,
    output: Path | None,
    data: str | None,
) -> None:
    """Write a pytest file that carries out one state of a run again.

    The state has the data, cursor and messages that it had; of several visits it is the last. The task is called as it is,
    with the workflow's own resources: give it others where these reach out into the world.
    """
    workflow = find_valid(target, full=full)
    if output is not None and output.exists():
        raise Refused(f"{output} is there already: name a new file")

    given = None if data is None else _plain(source_of(data))

    async def look(journal: Journal) -> RecordedState:
        stored = await stored_of(journal, run_id, workflow)
        records = Records(workflow, stored, await journal.history(run_id))
        return records.of(_state(workflow, state, records.seen), given)

    case = asked(opened(file), look, full=full)
    folder = Path.cwd() if output is None else output.parent.resolve()
    text = case_text(case, _home(target, workflow, case.state, folder))
    if output is not None:
        _write(output, text)
    told = {
        "run_id": run_id,
        "state": case.state.name,
        "seq": case.seq,
        "file": None if output is None else str(output),
    }
    if as_json:
        say(json_text({**told, "test": text}))
    elif output is None:
        click.echo(text, nl=False)
    else:
        say(f"wrote {word(str(output))}: pytest {word(str(output))}")


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{output} can't be written: {error.strerror}") from error


def _state(workflow: Workflow[Any, Any], name: str, seen: Sequence[str]) -> Enum:
    """The state that is to be carried out again."""
    state = workflow.state_named(name)
    if state is None:
        raise Refused(f"{name!r} is no state of workflow {workflow.name}{did_you_mean(name, seen, 'The run was in')}")
    if state in workflow.exits:
        raise Refused(f"{name} is an exit, which has no task{did_you_mean('', seen, 'The run was in')}")
    found: Enum = state
    return found


def _home(target: str, workflow: Workflow[Any, Any], state: Enum, folder: Path) -> Home:
    """How a test in a folder imports the workflow."""
    module, attribute = home_of(target, workflow)
    path = Path(module.__file__ or "")
    name = path.stem if module.__name__.startswith("_cano_trio_target_") else module.__name__
    if not all(part.isidentifier() for part in name.split(".")):
        raise Refused(f"no test can import {path.name}: give the file a name that is a Python identifier")
    # Where a package begins, whose parts the dots are.
    root = folder if _is_installed(path) else path.parents[name.count(".") + (path.stem == "__init__")]
    states = [called for called, value in vars(module).items() if value is type(state)]
    return Home(
        module=name,
        workflow=attribute,
        states=next(iter(states), None),
        root=None if root == folder else os.path.relpath(root, folder),
    )


def _is_installed(path: Path) -> bool:
    return any(part in {"site-packages", "dist-packages"} for part in path.parts)


def _plain(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(f"--data: {error}") from error
