"""A loop over a dictionary of functions, as one writes it by hand on trio: no library at all."""

from enum import Enum, auto

import peer
import trio


class Step(Enum):
    """The states."""

    WORK = auto()
    DONE = auto()


async def transition(times, _):
    """A run of so many transitions."""
    data = {"count": 0}

    async def work():
        data["count"] += 1
        return Step.WORK if data["count"] < times else Step.DONE

    tasks = {Step.WORK: work}
    state = Step.WORK
    while state is not Step.DONE:
        await trio.lowlevel.checkpoint_if_cancelled()
        state = await tasks[state]()


async def fan_out(times, _):
    """So many items at once."""
    results = [None] * times

    async def one(item):
        results[item] = item + 1

    async with trio.open_nursery() as nursery:
        for item in range(times):
            nursery.start_soon(one, item)


async def retry(times, _):
    """A call that works at the first try, in a loop that would try again."""

    async def call():
        return 1

    for _ in range(times):
        for attempt in range(4):
            try:
                await call()
                break
            except OSError:
                await trio.sleep(0.1 * 2**attempt)


peer.main({"transition": transition, "fan-out": fan_out, "retry": retry}, trio.run)
