"""stamina."""

import peer
import stamina
import trio


@stamina.retry(on=OSError, attempts=4)
async def call():
    """What works at once."""
    return 1


async def retry(times, _):
    """A call that works at the first try."""
    for _ in range(times):
        await call()


peer.main({"retry": retry}, trio.run)
