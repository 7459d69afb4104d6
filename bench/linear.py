"""One transition of a workflow whose tasks do nothing, in its default configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from cano_trio import Event, TaskConfig

from .measure import Case, in_trio
from .ring import Ring

TRANSITIONS = 20_000
BARE = "transition: loop by hand"
BARE_TIMED = "transition: loop by hand, move_on_after"


@final
class Deaf:
    """An observer that does nothing: what is seen is the making and the telling of events."""

    def on_event(self, event: Event, /) -> None:
        """Take no note of it."""


def cases() -> Sequence[Case]:
    """A workflow beside `bare_loop`; then with an observer (two events a transition), and with an attempt timeout."""
    ring, deaf = Ring(), Deaf()
    timed = Ring(TaskConfig(attempt_timeout=60))

    async def observed(times: int) -> None:
        await ring.run(times, deaf)

    plain = "transition: workflow"
    return [
        Case(name=BARE, clocked=in_trio(ring.bare), times=TRANSITIONS),
        Case(name=plain, clocked=in_trio(ring.run), times=TRANSITIONS, baseline=BARE, reach=0.8, reach_ratio=1.5),
        Case(name="transition: one observer", clocked=in_trio(observed), times=TRANSITIONS, baseline=plain, reach=1.2),
        Case(name=BARE_TIMED, clocked=in_trio(ring.bare_timed), times=TRANSITIONS // 4, baseline=BARE),
        Case(
            name="transition: attempt timeout",
            clocked=in_trio(timed.run),
            times=TRANSITIONS // 4,
            baseline=BARE_TIMED,
            reach_added=0.7,
            note="the scope itself is trio's",
        ),
    ]
