"""What can be done about a run of a journal that did not reach its end, as the command to type."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import final

import attrs

from .._errors import RunAlreadyEnded, RunFailed
from .._observe.status import RunStatus
from .running import Outcome


@final
@attrs.frozen
class Recourse:
    """How to go on with the runs of a target.

    Args:
        target: where their workflow is.
        file: the journal.

    >>> print(Recourse("flow.py", Path("runs.db")).command("resume", "r1"))
    cano-trio resume --journal runs.db flow.py r1
    """

    target: str
    file: Path

    def command(self, name: str, run_id: str) -> str:
        """A subcommand about a run, as a shell takes it."""
        guard = ["--"] if self.target.startswith("-") or run_id.startswith("-") else []
        return f"cano-trio {name} {shlex.join(['--journal', str(self.file), *guard, self.target, run_id])}"

    def about(self, outcome: Outcome) -> str:
        """What is said of a run that has reached no exit; empty if there is nothing to be done."""
        course = outcome.course
        if outcome.released:
            where = f"in {course.path[-1].name}" if course.path else "before the first state"
            going_on = "" if course.run_id is None else f". Go on with it: {self.command('resume', course.run_id)}"
            return f"released {where}{going_on}"
        return "" if outcome.run_id is None else self._again(outcome.run_id, outcome.status)

    def beside(self, text: str, error: Exception) -> str:
        """A text about an error, and what can be done about the run that is over by then."""
        if isinstance(error, RunAlreadyEnded | RunFailed) and (
            advice := self._again(error.run_id, RunStatus(error.status))
        ):
            return f"{text}. {advice}"
        return text

    def _again(self, run_id: str, status: RunStatus) -> str:
        match status:
            case RunStatus.FAILED:
                return f"Try it again: {self.command('retry', run_id)}"
            case RunStatus.ROLLBACK_FAILED:
                return f"Try again to undo what is left: {self.command('retry --rollback', run_id)}"
            case _:
                return ""
