"""The schedules of a journal: listed, and removed when no code has them any more."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import trio
import trio.testing

from cano_trio import Cron, Manual, Schedule, Workflow, open_runtime
from cano_trio._runtime.runtime import Runtime
from cano_trio.journals import SqliteJournal

if TYPE_CHECKING:
    from tests.cli.conftest import Command


class Step(Enum):
    WORK = 1
    DONE = 2


work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="reporting")


@work.task(Step.WORK)
async def report() -> Literal[Step.DONE]:
    return Step.DONE


def fire(act: Callable[[Runtime], Awaitable[object]], *schedules: Schedule[None]) -> None:
    """Have a process fire schedules on the journal, and do something."""

    async def main() -> None:
        async with open_runtime(schedules=schedules, journal=SqliteJournal("runs.db")) as runtime:
            await act(runtime)

    trio.run(main)


@pytest.fixture
def kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that knows three schedules: one by the clock, one that is paused, and one that has fired once."""
    monkeypatch.setenv("CANO_TRIO_JOURNAL", "runs.db")

    async def act(runtime: Runtime) -> None:
        await runtime.schedules.pause("held")
        await (await runtime.trigger("by hand")).wait()
        await trio.testing.wait_all_tasks_blocked()

    nightly = Schedule("nightly", work, Cron("0 3 * * *", "Asia/Tokyo"))
    fire(act, nightly, Schedule("held", work, Cron("* * * * *")), Schedule("by hand", work, Manual()))


@pytest.mark.usefixtures("kept")
def test_each_schedule_has_a_line(command: Command) -> None:
    """With when it fires, what it does, and when next: no code of it is needed."""
    result = command("schedules")
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[0] == ["SCHEDULE", "WORKFLOW", "FIRES", "STATE", "NEXT", "LAST", "RUNS", "WHY"]
    assert [line[:4] for line in lines[1:]] == [
        ["by hand", "reporting", "only when triggered", "idle"],
        ["held", "reporting", "cron '* * * * *' in UTC", "paused"],
        ["nightly", "reporting", "cron '0 3 * * *' in Asia/Tokyo", "idle"],
    ]
    assert "T18:00:00Z (in " in lines[3][4]


@pytest.mark.usefixtures("kept")
def test_as_json_all_is_told(command: Command) -> None:
    """Instants with their time zone, what depends on no time as null."""
    told = {one["name"]: one for one in json.loads(command("schedules", "--json").stdout)}
    following = datetime.fromisoformat(told["nightly"]["next_firing"])
    assert following.astimezone(UTC).hour == 18
    assert timedelta() < following - datetime.now(UTC) <= timedelta(days=1)
    assert (told["held"]["paused"], told["held"]["next_firing"]) == (True, None)
    assert (told["by hand"]["run_count"], told["by hand"]["runs"], told["by hand"]["next_firing"]) == (1, [], None)
    assert told["by hand"]["last_firing"] is not None


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "options", [["schedules", "rm", "held", "nightly"], ["schedules", "--json", "rm", "held", "nightly", "--json"]]
)
def test_one_that_no_code_has_any_more_is_removed(command: Command, options: list[str]) -> None:
    """Its record is gone, the others stay, and so do the runs."""
    result = command(*options)
    assert result.exit_code == 0
    if "--json" in options:
        assert json.loads(result.stdout) == {"removed": ["held", "nightly"]}
    else:
        assert result.stdout == "removed held\nremoved nightly\n"
    assert [one["name"] for one in json.loads(command("schedules", "--json").stdout)] == ["by hand"]
    assert [run["status"] for run in json.loads(command("list", "--json").stdout)] == ["completed"]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["rm", "nihgtly"], "the journal has no schedule 'nihgtly'. Did you mean nightly?"),
        (["--journal", "other.db"], "there is no file other.db"),
        (["rm"], "Missing argument 'NAME...'."),
    ],
)
def test_what_is_refused(command: Command, arguments: list[str], message: str) -> None:
    """With exit code 2, and nothing is removed."""
    result = command("schedules", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(json.loads(command("schedules", "--json").stdout)) == 3


def test_a_journal_must_be_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option of either command, or by the environment."""
    monkeypatch.delenv("CANO_TRIO_JOURNAL", raising=False)
    for arguments in ([], ["rm", "nightly"]):
        result = command("schedules", *arguments)
        assert (result.exit_code, "Missing option '--journal'" in result.stderr) == (2, True)


def test_one_whose_run_goes_on_is_not_removed(command: Command, folder: Path) -> None:
    """Which run that is, and what to do, is said."""

    async def stay(runtime: Runtime) -> None:
        run = await runtime.trigger("s")
        result = await trio.to_thread.run_sync(lambda: command("schedules", "--journal", "runs.db", "rm", "s"))
        told = f"run '{run.id}' of schedule 's' goes on, and it would be written down again. Cancel it, or wait for it."
        assert (result.exit_code, result.stderr) == (2, f"Error: {told}\n")
        run.cancel()

    waiting = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="waiting")

    @waiting.task(Step.WORK)
    async def wait() -> Literal[Step.DONE]:
        await trio.sleep_forever()

    fire(stay, Schedule("s", waiting, Manual()))
