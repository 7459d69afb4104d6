"""Orders over HTTP: the large ones wait for somebody's approval, for days if need be, and no restart loses one.

A real server (hypercorn) on a port of this machine takes the orders; each is a run in a journal. Whoever puts an order
twice has one, and whoever kills the process at any moment finds every order where it was when it is started again.

    python examples/order_service.py                  # plays two days: the service is stopped overnight
    python examples/order_service.py orders.db 8080   # serves, until it is told to stop

    curl -X PUT  localhost:8080/orders/7 -d '{"item": "yacht", "amount": 90000}'
    curl         localhost:8080/orders/7
    curl -X POST localhost:8080/orders/7/decision -d '{"by": "Mo", "yes": true}'
    curl         localhost:8080/orders/7/end

The command knows these runs, too: `cano-trio top --journal orders.db`, or
`cano-trio send examples/order_service.py 7 Decision '{"by": "Mo", "yes": true}' --journal orders.db`.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config

from cano_trio import (
    Resources,
    Run,
    RunAlreadyEnded,
    RunContext,
    RunFailed,
    RunNotFound,
    Runtime,
    Workflow,
    open_runtime,
)
from cano_trio.journals import SqliteJournal

T = TypeVar("T")

DAYS = 24 * 3600.0


class Step(Enum):
    """Where an order stands."""

    CHECK = auto()
    AWAIT_DECISION = auto()
    CHARGE = auto()
    SHIP = auto()
    SHIPPED = auto()
    REFUSED = auto()


class Order(msgspec.Struct):
    """What is ordered, and what came of it."""

    item: str
    amount: int
    note: str = "below the limit"
    parcel: str = ""


class Decision(msgspec.Struct, frozen=True):
    """Somebody says yes or no to an order."""

    by: str
    yes: bool


class Bank:
    """Takes money and gives it back; it knows by the key what it has done before."""

    async def charge(self, amount: int, key: str) -> str:
        """Take money."""
        print(f"  charged {amount} as {key}", flush=True)
        return key


workflow = Workflow(
    Step,
    initial=Step.CHECK,
    exits=[Step.SHIPPED, Step.REFUSED],
    name="order",
    data=Order,
    resources=Resources(bank=Bank()),
)


@workflow.router(Step.CHECK)
async def check(order: Order) -> Literal[Step.AWAIT_DECISION, Step.CHARGE]:
    """Small orders need nobody."""
    return Step.AWAIT_DECISION if order.amount > 1000 else Step.CHARGE


@workflow.receive(Step.AWAIT_DECISION, timeout=3 * DAYS)
async def decide(decision: Decision, order: Order) -> Literal[Step.CHARGE, Step.REFUSED]:
    """Somebody has decided."""
    order.note = f"{decision.by} says {'yes' if decision.yes else 'no'}"
    return Step.CHARGE if decision.yes else Step.REFUSED


@decide.on_timeout
async def nobody_decided(order: Order) -> Literal[Step.REFUSED]:
    """Nobody has, in three days; a restart does not begin them anew."""
    order.note = "nobody decided"
    return Step.REFUSED


@workflow.compensatable(Step.CHARGE)
async def charge(order: Order, bank: Bank, ctx: RunContext) -> tuple[Literal[Step.SHIP], str]:
    """Take the money; the key is the same if this is done again after a crash."""
    return Step.SHIP, await bank.charge(order.amount, ctx.idempotency_key)


@charge.compensate
async def give_back(key: str) -> None:
    """Give it back, if the order can't be shipped."""
    print(f"  given back what was charged as {key}", flush=True)


@workflow.task(Step.SHIP)
async def ship(order: Order, ctx: RunContext) -> Literal[Step.SHIPPED]:
    """Send it off, when the courier has come."""
    await trio.sleep(0.2)
    order.parcel = f"parcel of {ctx.run_id}"
    return Step.SHIPPED


class Refusal(Exception):
    """A request that can't be met.

    Args:
        status: the status of the answer.
        why: its text.
    """

    def __init__(self, status: HTTPStatus, why: object) -> None:
        super().__init__(str(why))
        self.status = status


@dataclass
class Api:
    """The HTTP side, in ASGI.

    Args:
        runtime: carries the orders out.
    """

    runtime: Runtime

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            for _ in ("startup", "shutdown"):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        status, answer = HTTPStatus.OK, None
        try:
            answer = await self.answer(scope["method"], scope["path"].strip("/").split("/"), await body_of(receive))
        except Refusal as refusal:
            status, answer = refusal.status, {"error": str(refusal)}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(answer)})

    async def answer(self, method: str, path: list[str], body: bytes) -> Any:
        """What there is to say to a request."""
        match method, path:
            case "PUT", ["orders", number]:
                order = decoded(body, Order)
                run = await self.runtime.start(workflow, order, run_id=number, on_duplicate="attach")
                return told(run)
            case "GET", ["orders", number]:
                return told(await self.run(number))
            case "POST", ["orders", number, "decision"]:
                return await self.decide(number, decoded(body, Decision))
            case "GET", ["orders", number, "end"]:
                return await self.end_of(number)
            case _:
                raise Refusal(HTTPStatus.NOT_FOUND, "there are only orders here")

    async def run(self, number: str) -> Run[Step, Order]:
        """The run of an order, whether it goes on, waits or is over."""
        try:
            return await self.runtime.get(workflow, number)
        except RunNotFound as error:
            raise Refusal(HTTPStatus.NOT_FOUND, error) from None

    async def decide(self, number: str, decision: Decision) -> Any:
        """Hand a decision on; one decision of each person counts."""
        run = await self.run(number)
        try:
            return {"news": await run.send(decision, key=decision.by)}
        except RunAlreadyEnded as error:
            raise Refusal(HTTPStatus.CONFLICT, error) from None

    async def end_of(self, number: str) -> Any:
        """Where an order stands when it is over, or in half a minute."""
        run = await self.run(number)
        try:
            with trio.move_on_after(30):
                await run.wait()
        except RunFailed as error:
            raise Refusal(HTTPStatus.CONFLICT, error) from None
        return told(run)


def told(run: Run[Step, Order]) -> dict[str, Any]:
    """Where an order stands."""
    return {"order": run.id, "status": run.status.value, "state": run.state.name, "data": run.data}


def decoded(body: bytes, kind: type[T]) -> T:
    """What the body of a request says."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, error) from None


async def body_of(receive: Callable[[], Awaitable[Any]]) -> bytes:
    """The body of a request."""
    body = bytearray()
    more = True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    return bytes(body)


async def serve(
    file: Path,
    port: int,
    until: Callable[[], Awaitable[Any]],
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until something happens; gives the address at which it does."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    async with open_runtime(workflows=[workflow], journal=SqliteJournal(file), on_exit="drain") as runtime:
        await hypercorn.trio.serve(Api(runtime), config, shutdown_trigger=until, task_status=task_status)


async def told_to_stop() -> None:
    """Wait for SIGTERM or Ctrl-C."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


async def serve_until_told(file: Path, port: int) -> None:
    """Serve as a process does."""
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve, file, port, told_to_stop)
        print(f"serving at {addresses[0]}", flush=True)


async def day(file: Path, customers: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Open the service for a day."""
    evening = trio.Event()
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve, file, 0, evening.wait)
        async with httpx.AsyncClient(base_url=addresses[0]) as client:
            await customers(client)
        evening.set()


async def first_day(client: httpx.AsyncClient) -> None:
    """Two orders; nobody is there to decide on the large one."""
    for number, item, amount in (("7", "yacht", 90_000), ("8", "cup", 8), ("7", "yacht", 90_000)):
        await client.put(f"/orders/{number}", json={"item": item, "amount": amount})
    for answer in (await client.get("/orders/8/end"), await client.get("/orders/7"), await client.get("/orders/9")):
        show(answer)


async def second_day(client: httpx.AsyncClient) -> None:
    """Somebody decides."""
    show(await client.post("/orders/7/decision", json={"by": "Mo", "yes": 1}))
    for _ in range(2):  # the mail comes twice
        show(await client.post("/orders/7/decision", json={"by": "Mo", "yes": True}))
    show(await client.get("/orders/7/end"))
    show(await client.post("/orders/7/decision", json={"by": "Jo", "yes": False}))


def show(answer: httpx.Response) -> None:
    """Print an answer."""
    request = answer.request
    print(f"  {request.method} {request.url.path}: {answer.status_code} {json.dumps(answer.json())}")


def main() -> None:
    """Open for two days; nobody is there at night."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "orders.db"
        for name, customers in (("The first day:", first_day), ("The second day:", second_day)):
            print(name)
            trio.run(day, file, customers)


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(serve_until_told, Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
