"""PocketFlow."""

import peer
from pocketflow import AsyncFlow, AsyncNode, AsyncParallelBatchNode


class Work(AsyncNode):
    """Count."""

    async def post_async(self, shared, prep_res, exec_res):
        """Count, and go on until it is enough."""
        shared["number"] += 1
        return "more" if shared["number"] < shared["times"] else "done"


class Done(AsyncNode):
    """The end."""


async def transition(times, _):
    """A run of so many transitions, each of which changes data."""
    work = Work()
    work - "more" >> work
    work - "done" >> Done()
    await AsyncFlow(start=work).run_async({"number": 0, "times": times})


class Each(AsyncParallelBatchNode):
    """Something for each item."""

    async def prep_async(self, shared):
        """The items."""
        return list(range(shared["times"]))

    async def exec_async(self, prep_res):
        """One item."""
        return prep_res + 1


async def fan_out(times, _):
    """So many items at once."""
    await Each().run_async({"times": times})


peer.main({"transition": transition, "fan-out": fan_out})
