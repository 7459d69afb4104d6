"""What tests of the runtime may use."""

from __future__ import annotations

import pytest
import trio

from tests.runtime.desk import LONGEST, World


@pytest.fixture
async def world(nursery: trio.Nursery) -> World:
    """A world that ends when something in it goes on for ever."""

    async def end() -> None:
        await trio.sleep(LONGEST)
        raise trio.TooSlowError

    nursery.start_soon(end)
    return World()
