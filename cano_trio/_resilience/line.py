"""Waiting first come, first served."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import final

import attrs
import trio


@final
@attrs.define(eq=False)
class Line:
    """Those who wait for something, in the order in which they came (cano RAT-4 races them; G-RAT-1).

    Whoever leaves the line, served or cancelled, lets the next one step up: `trio.Lock` hands over directly, and in order.
    """

    waiting: int = 0
    cost: float = 0  # what those who wait are going to take, all together
    _front: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @asynccontextmanager
    async def front(self, cost: float = 1) -> AsyncGenerator[None]:
        """Wait to be first; the block is spent at the front of the line, and then the line is left."""
        self.waiting += 1
        self.cost += cost
        try:
            async with self._front:
                yield
        finally:
            self.waiting -= 1
            # 0.1 + 0.2 - 0.1 - 0.2 is not 0, and a line that is not quite empty would refuse everybody.
            self.cost = self.cost - cost if self.waiting else 0
