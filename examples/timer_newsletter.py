"""A newsletter that may still be taken back, and is sent on the stroke: one timer that waits seconds, one for an instant.

`wait` says how long, in seconds, or until which instant; `after_wait` goes on when the time has come. An instant
that has passed does not wait: who writes after the stroke sends at once.

Run it: python examples/timer_newsletter.py
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Literal

import trio

from cano_trio import Event, TimerTask, Waiting, Workflow


class Step(Enum):
    """Where a newsletter stands."""

    GRACE = auto()
    STROKE = auto()
    SENT = auto()
    TAKEN_BACK = auto()


@dataclass
class Newsletter:
    """A newsletter, when it is to go out, and whether its writer has changed her mind meanwhile."""

    title: str
    stroke: datetime
    regretted: bool = False
    late: timedelta | None = None


class Grace(TimerTask[Step]):
    """Gives the writer some time to think."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def wait(self) -> float:
        """In seconds."""
        return self.seconds

    async def after_wait(self, letter: Newsletter) -> Literal[Step.STROKE, Step.TAKEN_BACK]:
        """The time to think is over."""
        return Step.TAKEN_BACK if letter.regretted else Step.STROKE


workflow = Workflow(Step, initial=Step.GRACE, exits=[Step.SENT, Step.TAKEN_BACK], data=Newsletter)
workflow.register(Step.GRACE, Grace(0.1))


@workflow.timer(Step.STROKE)
async def stroke(letter: Newsletter) -> datetime:
    """When it is to go out, by the clock on the wall."""
    return letter.stroke


@stroke.after_wait
async def send(letter: Newsletter) -> Literal[Step.SENT]:
    """Send it, and note how far from the stroke that was."""
    letter.late = datetime.now(UTC) - letter.stroke
    return Step.SENT


class Waits:
    """An observer that prints what is waited for."""

    def on_event(self, event: Event, /) -> None:
        """A run waits."""
        if isinstance(event, Waiting) and event.seconds is not None:
            print(f"  {event.run_id} in {event.state.name} waits {event.seconds:.1f} s")


async def publish() -> None:
    """Three newsletters: one that waits for the stroke, one that is late, one that is taken back."""
    now = datetime.now(UTC)
    letters = [
        Newsletter("on time", now + timedelta(seconds=0.5)),
        Newsletter("late", now - timedelta(seconds=60)),
        Newsletter("regretted", now + timedelta(seconds=0.5), regretted=True),
    ]
    for letter in letters:
        result = await workflow.run(letter, run_id=letter.title, observers=[Waits()])
        late = result.data.late
        when = "" if late is None else f", {abs(late.total_seconds()):.0f} s from the stroke"
        print(f"{letter.title}: {result.state.name}{when}")


def main() -> None:
    """Publish."""
    trio.run(publish)


if __name__ == "__main__":
    main()
