"""How stepped work advances: each step is attempted by itself, and its cursor and data are kept before the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._define.blueprint import Plan
from .._define.stepped import More, kept_type
from .._journal.codec import JsonCodec
from .._observe.events import StepFinished
from .attempt import attempt
from .drive import FAIR_SECONDS, FAIR_TRANSITIONS
from .kept import Place, encode, read_place
from .layers import Call
from .run import Run
from .unit import Binder


def bind_stepped(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step go from cursor to cursor until a state is named."""
    method = plan.methods["step"]
    codec: JsonCodec[Any] = JsonCodec(kept_type(method), "cursor")
    function = _unpacking(method.function, codec.unpack)
    unit = binder.unit(
        msgspec.structs.replace(method, function=function), writes=True, config=plan.node.config, choosers=plan.plain
    )
    writes = unit.takes_draft

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        packed, number = _place(run)
        pass_at = 0.0
        while True:
            run.attempts = 1
            result = await attempt(run, unit, (packed, *unit.args), f"/s:{number}")
            if not isinstance(result, More):
                return result
            # Here the step becomes a fact: its cursor and what it wrote, together, with no checkpoint between them.
            packed = codec.pack(result.cursor)
            if writes:
                run.keep_draft()
            number += 1
            if run.durable:
                await run.journal.keep(encode(Place(number, Raw(packed))))
            if run.letters:
                run.remove_letters()
            if run.observers:
                run.tell(StepFinished, number)
            # As between two states: a look at the cancel status, and a full pass when others have waited.
            if number % FAIR_TRANSITIONS and run.clock() < pass_at:
                await checkpoint_if_cancelled()
            else:
                await checkpoint()
                pass_at = run.clock() + FAIR_SECONDS

    step.reads = lambda places, _: [codec.unpack_all(bytes(read_place(body).cursor)) for body in places.values()]
    step.unit = unit
    step.writes = writes
    step.advance = advance


def _place(run: Run) -> tuple[bytes | None, int]:
    """The cursor that it goes on at, and how many steps came before; written down if its process has changed."""
    place = run.journal.places.get("")
    if place is None:
        return None, 0
    kept = read_place(place)
    return bytes(kept.cursor), kept.number


def _unpacking(function: Call, unpack: Callable[[bytes], Any]) -> Call:
    """The function given a cursor of its own at each attempt: what a failed one did to a list, the next must not see."""

    async def call(packed: bytes | None, *args: object, **named: object) -> Any:
        return await function(None if packed is None else unpack(packed), *args, **named)

    return call
