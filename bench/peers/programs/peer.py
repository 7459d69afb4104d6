"""What each program here does: it measures one case with one library, in an environment of its own, and prints seconds.

A program is called as ``python of_NAME.py CASE TIMES REPEATS FOLDER``, and prints a JSON list of seconds for each time.
"""

import asyncio
import gc
import inspect
import json
import sys
from pathlib import Path
from time import perf_counter

RUNS = 100
"""How many runs are at work at once where they are written down."""


def main(cases, run=asyncio.run):
    """Measure what is asked for.

    Args:
        cases: for each case an async function, or a sync one, of how many times to do it and of an empty folder. It may
            return the seconds that it took itself, where something is to be prepared that does not count.
        run: runs an async function, such as `trio.run`; called with the function and its arguments, or with a coroutine.
    """
    case, times, repeats, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    if case not in cases:
        print("null")
        return
    seconds = []
    for number in range(repeats + 1):
        place = folder / str(number)
        place.mkdir()
        gc.collect()
        seconds.append(_measured(cases[case], times, place, run) / times)
    print(json.dumps(seconds[1:]))  # the first one warms up


def _measured(case, times, place, run):
    if not inspect.iscoroutinefunction(case):
        begun = perf_counter()
        return case(times, place) or perf_counter() - begun
    own = 0.0

    async def timed():
        nonlocal own
        begun = perf_counter()
        own = await case(times, place) or perf_counter() - begun

    run(timed() if run is asyncio.run else timed)
    return own
