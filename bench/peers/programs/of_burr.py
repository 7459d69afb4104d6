"""Burr, with its own SQLite persister."""

import asyncio

import peer
from burr.core import ApplicationBuilder, action, expr
from burr.core.parallelism import MapStates
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister


@action(reads=["number"], writes=["number"])
async def work(state):
    """Count."""
    return state.update(number=state["number"] + 1)


@action(reads=["number"], writes=[])
async def end(state):
    """The end."""
    return state


async def count(times, name="run", persister=None):
    """A run that goes through its action so many times."""
    builder = (
        ApplicationBuilder()
        .with_actions(work=work, end=end)
        .with_transitions(("work", "work", expr(f"number < {times}")), ("work", "end"))
        .with_entrypoint("work")
        .with_state(number=0)
        .with_identifiers(app_id=name)
    )
    if persister is not None:
        builder = builder.with_state_persister(persister)
    app = await builder.abuild()
    await app.arun(halt_after=["end"])


async def transition(times, _):
    """A run of so many transitions, each of which changes data."""
    await count(times)


class Each(MapStates):
    """An action for each item."""

    def is_async(self):
        """It is."""
        return True

    def action(self, state, inputs):
        """What is done with an item."""
        return work

    async def states(self, state, context, inputs):
        """A state for each item."""
        for item in state["items"]:
            yield state.update(number=item)

    async def reduce(self, state, states):
        """The end."""
        found = [one["number"] async for one in states]
        return state.update(found=found)

    @property
    def reads(self):
        """What it reads."""
        return ["items"]

    @property
    def writes(self):
        """What it writes."""
        return ["found"]


async def fan_out(times, _):
    """So many items at once."""
    app = await (
        ApplicationBuilder()
        .with_actions(each=Each())
        .with_transitions()
        .with_entrypoint("each")
        .with_state(items=list(range(times)), number=0)
        .abuild()
    )
    await app.arun(halt_after=["each"])


async def durable(times, folder):
    """A hundred runs at once, each transition on disk before the next."""
    persister = await AsyncSQLitePersister.from_values(db_path=str(folder / "runs.db"))
    await persister.initialize()
    await asyncio.gather(*(count(times // peer.RUNS, str(name), persister) for name in range(peer.RUNS)))
    await persister.cleanup()


peer.main({"transition": transition, "fan-out": fan_out, "durable": durable})
