"""tenacity."""

import peer
import tenacity
import trio


@tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_exponential())
async def call():
    """What works at once."""
    return 1


async def retry(times, _):
    """A call that works at the first try."""
    for _ in range(times):
        await call()


peer.main({"retry": retry}, trio.run)
