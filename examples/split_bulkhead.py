"""A bulkhead: thirty pages are fetched, never more than four at once, so that the server stays on its feet.

Which pages there are is found out while the workflow runs: a split task makes a branch for each. The seconds are virtual.

    python examples/split_bulkhead.py
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import trio
from trio.testing import MockClock

from cano_trio import BranchResults, Resources, Split, Workflow


class Step(Enum):
    """Find the pages and fetch them, then count their words."""

    FETCH = auto()
    COUNT = auto()
    DONE = auto()


class Server:
    """A server that takes half a second for a page, and notes how many it has had to serve at once."""

    def __init__(self) -> None:
        self.busy = self.most = 0

    async def get(self, page: int) -> str:
        """Serve a page."""
        self.busy += 1
        self.most = max(self.most, self.busy)
        await trio.sleep(0.5)
        self.busy -= 1
        return "word " * page


def crawler(bulkhead: int | None) -> Workflow[Step]:
    """The workflow with so many places."""
    workflow = Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], name="crawler")

    @workflow.branch(attempt_timeout=2.0)
    async def fetch(page: int, server: Server) -> str:
        return await server.get(page)

    @workflow.split(Step.FETCH)
    async def find_pages() -> Split[Literal[Step.COUNT]]:
        pages = {f"page {number}": number for number in range(1, 31)}
        return Split.over(fetch, pages, Step.COUNT, bulkhead=bulkhead)

    @workflow.task(Step.COUNT)
    async def count(pages: BranchResults[str]) -> Literal[Step.DONE]:
        words = sum(len(text.split()) for text in pages.successes.values())
        print(f"    {words} words on {len(pages)} pages")
        return Step.DONE

    return workflow


async def crawl() -> None:
    """Fetch with and without a bulkhead."""
    for bulkhead in (None, 4):
        server = Server()
        print(f"bulkhead {bulkhead}:")
        result = await crawler(bulkhead).run(resources=Resources(server=server))
        print(f"    {result.elapsed:g} s, and {server.most} at once")


def main() -> None:
    """Crawl in virtual time."""
    trio.run(crawl, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
