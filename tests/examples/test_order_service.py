"""The example's service as a process of its own, which is killed while an order waits for somebody's approval."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

SERVICE = Path(__file__).parents[2] / "examples" / "order_service.py"


@contextmanager
def served(file: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """The service on a journal, and a client of it."""
    command = [sys.executable, "-W", "error", str(SERVICE), str(file), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("serving at ").strip()
            with httpx.Client(base_url=address, timeout=20) as client:
                yield process, client
        finally:
            process.kill()


def stood(answer: httpx.Response) -> tuple[Any, Any, Any]:
    """Where an order stands."""
    told = answer.json()
    return told["status"], told["state"], told["data"]["note"]


def test_an_order_survives_the_process_that_took_it(tmp_path: Path) -> None:
    """Killed by SIGKILL and started again, the service has it where it was; the approval arrives, and it is shipped once."""
    file = tmp_path / "orders.db"
    with served(file) as (process, client):
        order = {"item": "yacht", "amount": 90_000}
        assert client.put("/orders/7", json=order).status_code == 200
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with served(file) as (process, client):
        assert client.put("/orders/7", json=order).status_code == 200  # the customer does not know what became of it
        assert stood(client.get("/orders/7"))[:2] == ("waiting", "AWAIT_DECISION")
        assert client.post("/orders/7/decision", json={"by": "Mo", "yes": True}).json() == {"news": True}
        assert stood(client.get("/orders/7/end")) == ("completed", "SHIPPED", "Mo says yes")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "  charged 90000 as 7/1\n")
