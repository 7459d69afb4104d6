"""A run for every HTTP request: two hundred clients at once want seats at a real server, and no seat is sold twice.

The server speaks HTTP by h11 on a free port of this machine, the clients are httpx. Each request is answered by a run of
its own, in the task of its connection: it takes a seat, charges a card, and if the card is declined, the failed run gives
the seat back before the client gets its answer.

    python examples/box_office.py
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

import h11
import httpx
import trio

from cano_trio import Event, Resources, Retry, RunEnded, RunStarted, Workflow

CLIENTS = 200
SEATS = 150


class Step(Enum):
    """Where a request stands."""

    TAKE_SEAT = auto()
    CHARGE = auto()
    SOLD = auto()
    SOLD_OUT = auto()


@dataclass
class Ticket:
    """Who wants a seat, and which it is."""

    guest: str
    seat: int = 0


class CardDeclined(Exception):
    """The bank says no."""


class Hall:
    """The seats that are free, and who has the others."""

    def __init__(self, seats: int) -> None:
        self.free = list(range(1, seats + 1))
        self.sold: dict[int, str] = {}


workflow = Workflow(Step, initial=Step.TAKE_SEAT, exits=[Step.SOLD, Step.SOLD_OUT], data=Ticket, name="box office")


@workflow.compensatable(Step.TAKE_SEAT)
async def take_seat(ticket: Ticket, hall: Hall) -> tuple[Literal[Step.CHARGE], int] | Literal[Step.SOLD_OUT]:
    """Hold a seat, if there is one."""
    if not hall.free:
        return Step.SOLD_OUT
    ticket.seat = hall.free.pop(0)
    return Step.CHARGE, ticket.seat


@take_seat.compensate
async def free_seat(seat: int, hall: Hall) -> None:
    """Somebody else may have it."""
    hall.free.append(seat)


@workflow.task(Step.CHARGE, retry=Retry.none())
async def charge(ticket: Ticket, hall: Hall) -> Literal[Step.SOLD]:
    """Ask the bank, which takes its time, and does not like numbers that end in 7."""
    await trio.sleep(0.1)
    if ticket.guest.endswith("7"):
        raise CardDeclined
    hall.sold[ticket.seat] = ticket.guest
    return Step.SOLD


class Crowd:
    """An observer that counts the runs that go on at once."""

    def __init__(self) -> None:
        self.present = 0
        self.most = 0

    def on_event(self, event: Event) -> None:
        """Count."""
        self.present += isinstance(event, RunStarted) - isinstance(event, RunEnded)
        self.most = max(self.most, self.present)


@dataclass
class Server:
    """Answers each request with a run."""

    resources: Resources
    crowd: Crowd

    async def __call__(self, stream: trio.SocketStream) -> None:
        """Serve one connection until the client closes it."""
        connection = h11.Connection(h11.SERVER)
        async with stream:
            guest = ""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Request):
                    guest = event.target.decode().removeprefix("/seats/")
                elif isinstance(event, h11.EndOfMessage):
                    await stream.send_all(response(connection, *await self.answer(guest)))
                    connection.start_next_cycle()
                elif isinstance(event, h11.ConnectionClosed):
                    return

    async def answer(self, guest: str) -> tuple[int, str]:
        """Run the workflow for one guest; gives the status and the text of the answer."""
        try:
            result = await workflow.run(Ticket(guest), run_id=guest, resources=self.resources, observers=[self.crowd])
        except CardDeclined:
            return httpx.codes.PAYMENT_REQUIRED, "declined"
        if result.state is Step.SOLD_OUT:
            return httpx.codes.CONFLICT, "sold out"
        return httpx.codes.CREATED, str(result.data.seat)


def response(connection: h11.Connection, status: int, text: str) -> bytes:
    """An answer in HTTP."""
    body = text.encode()
    head = h11.Response(status_code=status, headers=[("Content-Length", str(len(body)))])
    return b"".join(connection.send(part) or b"" for part in (head, h11.Data(body), h11.EndOfMessage()))


async def ask(server: str, guest: str, answers: dict[str, httpx.Response]) -> None:
    """One client, with a connection of its own."""
    async with httpx.AsyncClient(base_url=server, verify=False, timeout=30) as client:  # noqa: S501  (no TLS here at all)
        answers[guest] = await client.post(f"/seats/{guest}")


async def sell() -> None:
    """Serve, let everybody in at once, and check the books."""
    hall, crowd, answers = Hall(SEATS), Crowd(), dict[str, httpx.Response]()
    server = Server(Resources(hall=hall), crowd)
    async with trio.open_nursery() as serving:
        listeners = await serving.start(partial(trio.serve_tcp, server, 0, host="127.0.0.1"))
        host, port = listeners[0].socket.getsockname()
        async with trio.open_nursery() as asking:
            for number in range(CLIENTS):
                asking.start_soon(ask, f"http://{host}:{port}", f"guest-{number}", answers)
        serving.cancel_scope.cancel()
    report(hall, crowd, answers)


def report(hall: Hall, crowd: Crowd, answers: dict[str, httpx.Response]) -> None:
    """Tell how it went."""
    texts = Counter(answer.text if answer.is_error else "seats sold" for answer in answers.values())
    print(f"{len(answers)} clients at once, {SEATS} seats; at most {crowd.most} runs went on at the same time")
    for text, number in sorted(texts.items()):
        print(f"  {number} {text}")
    told = {int(answer.text): guest for guest, answer in answers.items() if answer.status_code == httpx.codes.CREATED}
    print(f"every guest has the seat that was promised: {told == hall.sold}")
    print(f"every seat is sold once or free: {sorted([*hall.sold, *hall.free]) == list(range(1, SEATS + 1))}")


def main() -> None:
    """Sell."""
    trio.run(sell)


if __name__ == "__main__":
    main()
