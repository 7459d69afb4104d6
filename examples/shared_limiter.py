"""Two workers share one rate limiter: together they keep the limit, whoever comes first is served first.

python examples/shared_limiter.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Literal

import trio

from cano_trio import RateLimiter, Resources, Workflow


class Step(Enum):
    """Where a worker stands."""

    SEND = auto()
    DONE = auto()


@dataclass
class Worker:
    """Who works, and how many messages are left to be sent."""

    name: str
    left: int


class Outbox:
    """Where the messages go; it notes who sent them, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []

    def send(self, sender: str) -> None:
        """Send a message."""
        self.sent.append((trio.current_time(), sender))


service = RateLimiter(50, burst=1, name="service")
workflow = Workflow(Step, initial=Step.SEND, exits=[Step.DONE], data=Worker)


@workflow.task(Step.SEND, limiter=service)
async def send(worker: Worker, outbox: Outbox) -> Annotated[Literal[Step.SEND], "more"] | Literal[Step.DONE]:
    """Send one message; every attempt has waited for its turn at the limiter."""
    outbox.send(worker.name)
    worker.left -= 1
    return Step.SEND if worker.left else Step.DONE


async def work_together(outbox: Outbox) -> None:
    """Two runs at the same time."""
    resources = Resources(outbox=outbox)
    async with trio.open_nursery() as nursery:
        for worker in (Worker("ann", left=4), Worker("bob", left=4)):
            nursery.start_soon(lambda worker=worker: workflow.run(worker, resources=resources))


def main() -> None:
    """Let them work, and look at when each message was sent."""
    outbox = Outbox()
    trio.run(work_together, outbox)
    times = [at for at, _ in outbox.sent]
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    print("sent by", *(sender for _, sender in outbox.sent))
    print(f"{len(times)} messages in {times[-1] - times[0]:.2f} s; the limit allows one every 0.02 s")
    print("the limit was kept:", min(gaps) > 0.01)
    print(f"{service.statistics().waited} of them had to wait")


if __name__ == "__main__":
    main()
