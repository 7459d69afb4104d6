"""What an explorer has found: a report, or a failure that names itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import final

import attrs

from .._observe.events import Event
from .effects import Effect
from .laboratory import LogEntry, Recorded
from .picture import Coverage, pictures
from .play import Played
from .process import Write


@final
@attrs.frozen(kw_only=True)
class Report:
    """What an explorer has tried.

    Args:
        cells: how many ways to fail, or orders of tasks, were tried.
        lives: how many processes that took.
        seconds: real seconds that it took.
        coverage: of each workflow, which states and edges were met in any of them.
        failure: the name of the first cell that failed; None if none did.

    >>> print(Report(cells=24, lives=48, seconds=0.1))
    24 cells, 48 lives, 0.10 s
    """

    cells: int
    lives: int
    seconds: float
    coverage: tuple[Coverage, ...] = ()
    failure: str | None = None

    def __str__(self) -> str:
        first = f"{self.cells} cells, {self.lives} lives, {self.seconds:.2f} s"
        if self.failure is not None:
            first += f"; {self.failure} failed"
        return "\n  ".join([first, *map(str, self.coverage)])


@final
class ScenarioFailed(AssertionError):
    """A scenario failed; the message names the cell in which it did, and tells what happened there.

    Args:
        name: the name of the cell, for `replay`; also an attribute.
        told: all that is known of it.
        report: what was tried until then; also an attribute.

    >>> print(ScenarioFailed("crash:after:2,seed:0", "charge: 2 in place of 1", Report(cells=5, lives=9, seconds=0.1)))
    crash:after:2,seed:0: charge: 2 in place of 1
    """

    def __init__(self, name: str, told: str, report: Report) -> None:
        super().__init__(f"{name}: {told}")
        self.name = name
        self.report = report


@final
@attrs.frozen(kw_only=True)
class Replay:
    """A cell that was played again; ``print(replay(...))`` shows all of it.

    Args:
        name: the cell's name.
        log: all that happened, in order: see `LogEntry`.
        events: the events of all runs.
        effects: what was done to the world outside.
        picture: the workflows, with the ways that runs took lit.
        outcome: what the scenario returned in the end.
        error: what it failed with; None if it did not.
    """

    name: str
    log: tuple[LogEntry, ...]
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    picture: str
    outcome: object
    error: BaseException | None

    @classmethod
    def of(cls, played: Played, error: BaseException | None) -> Replay:
        """What was played, and what its judge says of it."""
        lab = played.lab
        return cls(
            name=str(played.cell),
            log=lab.log,
            events=lab.events,
            effects=tuple(lab.effects),
            picture=_picture(played),
            outcome=lab.outcome,
            error=error,
        )

    def __str__(self) -> str:
        end = f"returned {self.outcome!r}" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        sections = [
            *_section("log", self.log),
            *_section("effects", self.effects),
            *_section("picture", [self.picture]),
        ]
        return "\n".join([f"{self.name}: {end}", *sections])


def told(played: Played, error: BaseException) -> str:
    """What is known of a cell that failed."""
    lab = played.lab
    history = [entry for entry in lab.log if isinstance(entry.what, (Write, Recorded))]
    return "\n".join(
        [
            f"{type(error).__name__}: {error}",
            f'  replay(scenario, "{played.cell}", ...) shows it again, with every event.',
            *_section("effects", lab.effects),
            *_section("history", history),
            *_section("picture", [_picture(played)]),
        ]
    )


def _picture(played: Played) -> str:
    return "\n".join(pictures(played.lab.workflows.values(), played.lab.events))


def _section(title: str, things: Iterable[object]) -> Iterator[str]:
    lines = [line for thing in things for line in str(thing).splitlines()]
    if lines:
        yield f"\n{title}"
        yield from (f"  {line}" for line in lines)
