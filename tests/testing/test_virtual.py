"""Virtual time: the same run each time, and a clock that never runs ahead of a thread."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import trio

from cano_trio import Retry, _clock
from cano_trio.journals import SqliteJournal
from cano_trio.testing import SchedulerNotSeedable, run_virtual

JITTERED = Retry.exponential(3, jitter=0.5)


async def arrivals() -> list[int]:
    """The order in which eight tasks run that could run in any."""
    order: list[int] = []

    async def arrive(number: int) -> None:
        await trio.lowlevel.checkpoint()
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(arrive, number)
    return order


def test_the_wall_clock_goes_with_virtual_time() -> None:
    """Thirty days pass at once, on both clocks alike."""

    async def main() -> tuple[float, timedelta]:
        begun, since = trio.current_time(), _clock.now()
        await trio.sleep(30 * 86_400)
        return trio.current_time() - begun, _clock.now() - since

    assert run_virtual(main) == (30 * 86_400, timedelta(days=30))


def test_it_returns_and_raises_what_the_function_does() -> None:
    """Arguments, results and exceptions pass as with `trio.run`."""

    async def divide(a: int, b: int) -> float:
        await trio.lowlevel.checkpoint()
        return a / b

    assert run_virtual(divide, 6, 3) == 2
    with pytest.raises(ZeroDivisionError):
        run_virtual(divide, 1, 0)


def test_trios_private_switch_still_seeds_its_order_of_tasks() -> None:
    """One seed gives one order, others give others, and no seed is seed 0: when this fails, trio has changed its switch."""
    orders = [tuple(run_virtual(arrivals, seed=seed)) for seed in range(20)]
    assert orders == [tuple(run_virtual(arrivals, seed=seed)) for seed in range(20)]
    assert len(set(orders)) > 15
    assert run_virtual(arrivals) == [*orders[0]]


@pytest.mark.parametrize(
    "switch", ["_core._run._r", "_core._run._ALLOW_DETERMINISTIC_SCHEDULING", "_threads.start_thread_soon"]
)
def test_a_trio_without_a_switch_is_refused_by_its_version(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trio has no such switch the error names its version, and nothing is run."""
    monkeypatch.delattr(f"trio.{switch}")
    with pytest.raises(SchedulerNotSeedable, match=rf"trio {trio.__version__} ") as caught:
        run_virtual(arrivals)
    assert caught.value.version == trio.__version__


def test_trio_is_left_as_it_was() -> None:
    """Neither trio's scheduler nor `random` goes by the seed afterwards."""
    switches = vars(trio._core._run)
    before = {name: switches[name] for name in ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")}
    state, ask = random.getstate(), trio.from_thread.run
    run_virtual(arrivals, seed=7)
    assert {name: switches[name] for name in before} == before
    assert (random.getstate(), trio.from_thread.run) == (state, ask)


def test_chance_goes_by_the_seed() -> None:
    """The jitter of retries and the module `random` are the same each time with a seed."""

    async def chances() -> tuple[float, ...]:
        await trio.lowlevel.checkpoint()
        return (random.random(), *JITTERED.delays())

    assert run_virtual(chances, seed=3) == run_virtual(chances, seed=3)
    assert run_virtual(chances, seed=3) != run_virtual(chances, seed=4)


def test_it_is_refused_inside_a_trio_run() -> None:
    """A test that is async itself is told to be a plain one."""

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        run_virtual(arrivals)

    with pytest.raises(RuntimeError, match="in place of `async def test_it"):
        trio.run(main)


def test_no_virtual_time_passes_for_a_thread() -> None:
    """A thread takes real time, and meanwhile nobody's virtual sleep is over."""

    async def main() -> list[tuple[str, float]]:
        begun = trio.current_time()
        order: list[tuple[str, float]] = []

        async def work() -> None:
            await trio.to_thread.run_sync(threading.Event().wait, 0.03)
            order.append(("thread", trio.current_time() - begun))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.sleep(5)
            order.append(("sleep", trio.current_time() - begun))
        return order

    assert run_virtual(main) == [("thread", 0), ("sleep", 5)]


@pytest.mark.parametrize("seed", range(3))
def test_which_thread_is_faster_makes_no_difference(seed: int) -> None:
    """Threads that are asked together have their tasks go on in the order of the seed."""

    async def main(pauses: list[float]) -> list[int]:
        order: list[int] = []

        async def work(number: int) -> None:
            await trio.to_thread.run_sync(threading.Event().wait, pauses[number])
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(work, number)
        return order

    assert run_virtual(main, [0.02, 0.01, 0], seed=seed) == run_virtual(main, [0, 0.01, 0.02], seed=seed)


def test_time_passes_while_a_thread_waits_for_trio() -> None:
    """What a thread asks of trio may sleep, for both of them."""

    async def main() -> float:
        begun = trio.current_time()

        def work() -> float:
            trio.from_thread.run(trio.sleep, 3)
            return trio.from_thread.run_sync(trio.current_time) - begun

        return await trio.to_thread.run_sync(work)

    assert run_virtual(main) == 3


def test_a_thread_may_wait_for_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits for what a task does is not waited for for ever."""
    monkeypatch.setattr("cano_trio.testing.virtual.PATIENCE", 0.05)

    async def main() -> float:
        begun, flag = trio.current_time(), threading.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, flag.wait))
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            flag.set()
            await trio.sleep(7)
        return trio.current_time() - begun

    assert run_virtual(main) == 7


def test_the_clock_waits_for_a_journal_in_a_file(tmp_path: Path) -> None:
    """Opening, reading and closing a SqliteJournal take no virtual time, though they are done by threads."""

    async def main() -> float:
        begun = trio.current_time()
        with trio.fail_after(1):
            async with SqliteJournal(tmp_path / "runs.db") as journal:
                for _ in range(20):
                    assert await journal.runs() == ()
        return trio.current_time() - begun

    assert run_virtual(main) == 0
