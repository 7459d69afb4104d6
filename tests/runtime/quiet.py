"""Virtual time that waits for a journal's threads, however slow the machine is: `autojump` would leap while they write."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Self, TypeVar

import trio
from trio.lowlevel import current_statistics
from trio.testing import MockClock, wait_all_tasks_blocked

from cano_trio._journal.forwarding import ForwardingJournal
from cano_trio._journal.protocol import Journal

T = TypeVar("T")


class Traffic:
    """How many calls of journals go on."""

    def __init__(self) -> None:
        self.calls = 0
        self.quiet = trio.Event()

    @contextmanager
    def call(self) -> Generator[None]:
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1
            if self.calls == 0:
                self.quiet.set()
                self.quiet = trio.Event()


class WatchedJournal(ForwardingJournal):
    """A journal whose calls are counted."""

    def __init__(self, inner: Journal, traffic: Traffic) -> None:
        super().__init__(inner)
        self.traffic = traffic

    async def forward(self, method: str, call: Callable[[], Awaitable[T]], /) -> T:
        with self.traffic.call():
            return await super().forward(method, call)

    async def __aenter__(self) -> Self:
        with self.traffic.call():
            return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        with self.traffic.call():
            await super().__aexit__(*exc_info)


async def jump_when_quiet(clock: MockClock, traffic: Traffic) -> None:
    """Jump to the next deadline whenever all tasks wait, and none of them for a journal."""
    while True:
        await wait_all_tasks_blocked()
        if traffic.calls:
            await traffic.quiet.wait()
            continue
        seconds = current_statistics().seconds_to_next_deadline
        if math.isfinite(seconds):
            clock.jump(max(0.0, seconds))
        else:
            await wait_all_tasks_blocked(0.001)
