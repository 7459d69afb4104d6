"""pydantic-graph."""

from __future__ import annotations

from dataclasses import dataclass

import peer
from pydantic_graph import BaseNode, End, GraphBuilder, GraphRunContext, StepContext, reduce_list_append


@dataclass
class Count:
    """The data."""

    number: int
    times: int


@dataclass
class Work(BaseNode[Count, None, int]):
    """Count."""

    async def run(self, ctx: GraphRunContext[Count]) -> Work | End[int]:
        """Count, and go on until it is enough."""
        ctx.state.number += 1
        return Work() if ctx.state.number < ctx.state.times else End(ctx.state.number)


async def transition(times, _):
    """A run of so many transitions, each of which changes data."""
    builder = GraphBuilder(state_type=Count, output_type=int)

    @builder.step
    async def begin(ctx: StepContext[Count, None, None]) -> Work:
        return Work()

    builder.add(builder.node(Work), builder.edge_from(builder.start_node).to(Work))
    builder = GraphBuilder(state_type=Count, input_type=Work, output_type=int)
    builder.add(builder.node(Work), builder.edge_from(builder.start_node).to(Work))
    await builder.build().run(state=Count(0, times), inputs=Work())


async def fan_out(times, _):
    """So many items at once."""
    builder = GraphBuilder(state_type=Count, output_type=list[int])

    @builder.step
    async def numbers(ctx: StepContext[Count, None, None]) -> list[int]:
        return list(range(times))

    @builder.step
    async def one(ctx: StepContext[Count, None, int]) -> int:
        return ctx.inputs + 1

    join = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(numbers),
        builder.edge_from(numbers).map().to(one),
        builder.edge_from(one).to(join),
        builder.edge_from(join).to(builder.end_node),
    )
    await builder.build().run(state=Count(0, times))


peer.main({"transition": transition, "fan-out": fan_out})
