"""An API client that copes: retries, a timeout for each attempt, a circuit breaker, and a fallback while that is open.

The client is a real one (httpx) and talks to a real server (HTTP by h11, on a free port of this machine) that plays its
troubles from a script: it fails and says when to come back, hangs, fails for good, recovers.

    python examples/api_client.py
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import h11
import httpx
import trio

from cano_trio import (
    AttemptFailed,
    CircuitBreaker,
    CircuitOpen,
    CircuitPolicy,
    CircuitRejected,
    Event,
    Resources,
    Retry,
    RetryScheduled,
    RunContext,
    Shared,
    Workflow,
)


class Step(Enum):
    """Where a request stands."""

    FETCH = auto()
    FALL_BACK = auto()
    DONE = auto()


@dataclass
class Quote:
    """What is asked, and the answer."""

    stock: str
    text: str = ""


class Unavailable(Exception):
    """The server can't answer now. By its `retry_after` the next attempt waits as long as the server asks."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.retry_after = float(response.headers["Retry-After"])


upstream = CircuitBreaker(CircuitPolicy(failure_threshold=3, reset_timeout=0.4), name="upstream")
workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], data=Quote)


@workflow.task(
    Step.FETCH,
    retry=Retry.exponential(3, base=0.04, jitter=0),
    attempt_timeout=0.2,
    breaker=upstream,
    on_error={CircuitOpen: Step.FALL_BACK},
)
async def fetch(quote: Quote, client: httpx.AsyncClient) -> Literal[Step.DONE]:
    """Ask the server."""
    response = await client.get(f"/quotes/{quote.stock}")
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Unavailable(response)
    quote.text = response.raise_for_status().text
    return Step.DONE


@workflow.task(Step.FALL_BACK)
async def fall_back(quote: Quote, ctx: RunContext) -> Literal[Step.DONE]:
    """Better an old answer than none."""
    quote.text = f"41.50 of yesterday, because of {type(ctx.error).__name__}"
    return Step.DONE


class Reporter:
    """An observer that prints what went wrong."""

    def on_event(self, event: Event) -> None:
        """Print what is of interest."""
        match event:
            case AttemptFailed():
                print(f"  attempt {event.attempt} failed: {type(event.error).__name__}")
            case RetryScheduled():
                print(f"  next attempt in {event.delay:g} s")
            case CircuitRejected():
                print(f"  refused by the breaker {event.breaker!r}")
            case _:
                pass


class Server:
    """Answers each request with the next act of its script."""

    def __init__(self, *script: str) -> None:
        self.script = deque(script)
        self.requests = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        """Serve one connection until the client closes it."""
        connection = h11.Connection(h11.SERVER)
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                elif isinstance(event, h11.EndOfMessage):
                    await stream.send_all(await self.answer(connection))
                    connection.start_next_cycle()
                elif isinstance(event, h11.ConnectionClosed):
                    return

    async def answer(self, connection: h11.Connection) -> bytes:
        """Play one act."""
        self.requests += 1
        status, body, headers = 200, b"42.00", []
        match self.script.popleft():
            case "hang":
                await trio.sleep_forever()
            case "fail":
                status, body, headers = 503, b"", [("Retry-After", "0.02")]  # in real life whole seconds
        length = ("Content-Length", str(len(body)))
        parts = (h11.Response(status_code=status, headers=[length, *headers]), h11.Data(body), h11.EndOfMessage())
        return b"".join(connection.send(part) or b"" for part in parts)


async def act(title: str, resources: Resources) -> None:
    """One run, told as it goes."""
    print(title)
    result = await workflow.run(Quote("ACME"), resources=resources, observers=[Reporter()])
    print(f"  got {result.data.text}")


async def play() -> None:
    """Serve, and send the client through good and bad times."""
    server = Server("fail", "hang", "ok", "fail", "fail", "fail", "ok")
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server, 0, host="127.0.0.1"))
        host, port = listeners[0].socket.getsockname()
        resources = Resources(client=Shared(lambda: httpx.AsyncClient(base_url=f"http://{host}:{port}")))
        async with resources:
            await act("A bad moment:", resources)
            await act("An outage:", resources)
            await act("Still out, and left in peace:", resources)
            await trio.sleep(upstream.statistics().retry_after)
            await act("Back again:", resources)
        nursery.cancel_scope.cancel()
    print(f"{server.requests} requests in all; the breaker is {upstream.state.value}")


def main() -> None:
    """Play it all."""
    trio.run(play)


if __name__ == "__main__":
    main()
