"""The helper that cancels at every step finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.engine.stepping import cancel_at_every_step


class World:
    """Holds a token while it works."""

    def __init__(self) -> None:
        self.limiter = trio.CapacityLimiter(1)
        self.log: list[str] = []

    async def careful(self) -> None:
        async with self.limiter:
            self.log.append("begun")
            await trio.sleep(5)
            self.log.append("done")

    async def careless(self) -> None:
        await self.limiter.acquire()
        await trio.sleep(5)
        self.limiter.release()

    async def hiding(self) -> None:
        try:
            await trio.sleep(5)
        except trio.Cancelled as cancelled:
            raise OSError("hidden") from cancelled

    async def in_a_nursery(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.careful)

    def is_free(self) -> None:
        assert self.limiter.borrowed_tokens == 0


def test_every_moment_is_met() -> None:
    """It is cancelled before the work begins, between any two of its steps, and while it waits; the last time it is done."""
    logs: list[list[str]] = []

    def check(world: World) -> None:
        world.is_free()
        logs.append(world.log)

    moments = cancel_at_every_step(World, World.careful, check)
    assert (logs[0], logs[1], logs[-1]) == ([], ["begun"], ["begun", "done"])
    assert len(logs) == moments + 1
    assert logs.count(["begun"]) > 1


def test_children_are_met_too() -> None:
    """The steps of tasks in nurseries of the work count as its own."""
    alone = cancel_at_every_step(World, World.careful, World.is_free)
    assert cancel_at_every_step(World, World.in_a_nursery, World.is_free) > alone


@pytest.mark.parametrize("work, error", [(World.careless, AssertionError), (World.hiding, OSError)])
def test_what_is_left_over_is_found(work: Callable[[World], object], error: type[Exception]) -> None:
    """A token that is kept, and a cancel that comes out as something else, fail and say at which moment."""
    with pytest.raises(error) as caught:
        cancel_at_every_step(World, work, World.is_free)  # type: ignore[arg-type]
    assert caught.value.__notes__[-1].startswith("stopped at moment ")
