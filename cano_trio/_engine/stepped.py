"""How stepped work advances: each step is attempted by itself, and its cursor and data are kept before the next."""

from __future__ import annotations

from typing import Any

import trio

from .._define.blueprint import Plan
from .._define.stepped import More, cursor_type
from .._journal.codec import codec_for
from .attempt import attempt
from .run import Run
from .unit import Binder


def bind_stepped(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step go from cursor to cursor until a state is named."""
    method = plan.methods["step"]
    unit = binder.unit(method, writes=True, config=plan.node.config, choosers=plan.choosers)
    codec = codec_for(cursor_type(method.returns))
    writes = unit.takes_draft

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        packed: Any = None
        number = 0
        while True:
            cursor = None if number == 0 else codec.unpack(packed)
            result = await attempt(run, unit, (cursor, *unit.args), f"/s:{number}")
            if not isinstance(result, More):
                return result
            # Here the step becomes a fact: its cursor and what it wrote, together.
            packed = codec.pack(result.cursor)
            if writes:
                run.keep_draft()
            number += 1
            run.report_progress(number, None)
            await trio.lowlevel.checkpoint()

    step.unit = unit
    step.writes = writes
    step.advance = advance
