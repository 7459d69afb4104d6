"""A journal around another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock

from cano_trio._journal.forwarding import ForwardingJournal
from cano_trio._journal.memory import MemoryJournal
from tests.journal.rows import letter, new, schedule, step

T = TypeVar("T")


class SlowJournal(ForwardingJournal):
    """Takes a second for each call, and notes them."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
        self.calls: list[str] = []

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        self.calls.append(method)
        await trio.sleep(1)
        return await super().forward(method, call)


async def test_every_call_passes_through_one_method(autojump_clock: MockClock) -> None:
    """Who overrides `forward` sees each call by its name before the inner journal does, whatever the call is."""
    async with SlowJournal() as journal:
        fence = (await journal.create(new("a", journal.owner))).fence
        await journal.commit(step("a", fence))
        await journal.post(letter("a"))
        await journal.load("a")
        await journal.history("a")
        await journal.runs()
        stored = await journal.claim("a")
        assert stored is not None
        await journal.delete("a", stored.record.fence)
        assert await journal.inner.runs() == ()
        assert await journal.keep_schedule(schedule("s")) is None
        await journal.fire(new("b"), schedule("s", rev=1))
        assert await journal.schedules() == (schedule("s", rev=2),)
        assert await journal.delete_schedule("s", 2) is None
    calls = [
        "create",
        "commit",
        "post",
        "load",
        "history",
        "runs",
        "claim",
        "delete",
        "keep_schedule",
        "fire",
        "schedules",
        "delete_schedule",
    ]
    assert journal.calls == calls
    assert trio.current_time() == 12
