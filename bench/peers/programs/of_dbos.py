"""DBOS on SQLite."""

import asyncio
from time import perf_counter

import peer
from dbos import DBOS


@DBOS.step()
async def work(number):
    """Count."""
    return number + 1


@DBOS.workflow()
async def count(times):
    """A run that takes its step so many times."""
    number = 0
    for _ in range(times):
        number = await work(number)
    return number


async def measured(times, folder, runs):
    """So many steps in so many runs at once, each on disk before the next."""
    path = folder / "runs.db"
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"})
    DBOS.launch()
    begun = perf_counter()
    await asyncio.gather(*(count(times // runs) for _ in range(runs)))
    seconds = perf_counter() - begun
    DBOS.destroy()
    return seconds


async def durable(times, folder):
    """A hundred runs at once."""
    return await measured(times, folder, peer.RUNS)


peer.main({"durable": durable})
