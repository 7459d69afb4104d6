"""Two workers share one rate limiter: together they keep the limit, whoever comes first is served first.

python examples/shared_limiter.py
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
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
    """Where the messages go; it notes who sent them."""

    def __init__(self) -> None:
        self.senders: list[str] = []


service = RateLimiter(50, burst=1, name="service")
workflow = Workflow(Step, initial=Step.SEND, exits=[Step.DONE], data=Worker)


@workflow.task(Step.SEND, limiter=service)
async def send(worker: Worker, outbox: Outbox) -> Annotated[Literal[Step.SEND], "more"] | Literal[Step.DONE]:
    """Send one message; the limiter has let every attempt wait for its turn."""
    outbox.senders.append(worker.name)
    worker.left -= 1
    return Step.SEND if worker.left else Step.DONE


async def work_together(outbox: Outbox, *workers: Worker) -> float:
    """A run for each worker, all at the same time; the seconds that it took."""
    resources = Resources(outbox=outbox)
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        for worker in workers:
            nursery.start_soon(partial(workflow.run, worker, resources=resources))
    return trio.current_time() - begun


def main() -> None:
    """Let two work, and compare with what the limit allows: one message at once, then one every 0.02 s."""
    outbox = Outbox()
    elapsed = trio.run(work_together, outbox, Worker("ann", left=4), Worker("bob", left=4))
    print("sent by", *outbox.senders)
    print(f"{len(outbox.senders)} messages in {elapsed:.2f} s, and {service.statistics().waited} had to wait")
    print("the limit was kept" if elapsed >= 7 * 0.02 else "too fast!")


if __name__ == "__main__":
    main()
