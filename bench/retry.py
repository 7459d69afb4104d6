"""A call that succeeds at once, under a retry policy."""

from __future__ import annotations

from collections.abc import Sequence

from cano_trio import Resources
from cano_trio._engine.attempt import attempt
from cano_trio._engine.program import Program
from cano_trio._engine.unit import Unit

from .measure import Case, calls, in_trio, nothing, optional
from .ring import Ring, Step

CALLS = 50_000
BARE = "call: bare"


async def attempts(times: int) -> None:
    """The engine's `attempt` in a row: it serves states, items and branches alike, and a run is only its setting."""
    resources = Resources()
    program = Program.of(Ring().workflow, resources)
    run = program.run(Step.A, None, run_id="bench", observers=(), resources=resources)
    unit = Unit("nothing", nothing)
    for _ in range(times):
        await attempt(run, unit, ())


def cases() -> Sequence[Case]:
    """The attempt function with its three retries, beside the decorators of others."""
    tenacity, stamina = optional("tenacity"), optional("stamina")
    return [
        Case(name=BARE, clocked=in_trio(calls(nothing)), times=CALLS),
        Case(name="call: retry", clocked=in_trio(attempts), times=CALLS, baseline=BARE, reach_added=0.3),
        Case(
            name="call: tenacity.retry",
            clocked=tenacity and in_trio(calls(tenacity.retry(stop=tenacity.stop_after_attempt(4))(nothing))),
            times=CALLS // 100,
            baseline=BARE,
            note="" if tenacity else "not installed",
        ),
        Case(
            name="call: stamina.retry",
            clocked=stamina and in_trio(calls(stamina.retry(on=OSError, attempts=4)(nothing))),
            times=CALLS // 100,
            baseline=BARE,
            note="" if stamina else "not installed",
        ),
    ]
