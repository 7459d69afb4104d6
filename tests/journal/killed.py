"""A program that commits as fast as it can and says what was acknowledged, until it is killed."""

from __future__ import annotations

import os
import sys
from itertools import count

import trio
from msgspec.structs import replace

from cano_trio._journal.sqlite.journal import SqliteJournal
from tests.journal.rows import new, step


async def main(path: str, runs: int) -> None:
    async with SqliteJournal(path) as journal, trio.open_nursery() as nursery:
        for index in range(runs):
            nursery.start_soon(run, journal, f"r{index}")


async def run(journal: SqliteJournal, run_id: str) -> None:
    fence = (await journal.create(new(run_id, owner=journal.owner))).fence
    for rev in count(1):
        assert await journal.commit(step(run_id, fence)) == rev
        os.write(1, f"{run_id} {rev}\n".encode())
        fence = replace(fence, rev=rev)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
