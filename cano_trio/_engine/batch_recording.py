"""How a batch is written down: its loaded list, and what its items gave, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, final

import trio
from msgspec import Raw

from .._define.batch import item_type, output_type
from .._define.method import Method
from .._journal.codec import Codec, codec_for
from .kept import Done, encode, read_done, read_list
from .run import Run

CHUNK_ITEMS = 256
CHUNK_SECONDS = 0.05
"""What a crash may make a batch repeat: so many items, or what was done in so many seconds."""

SOONER_SECONDS = 0.001
"""What of that it may be at first where a process goes on after another, and then ever more: if each of them dies as soon,
what it has finished must not be lost with it each time."""

ITEMS = "/items"
CHUNK = "/c:"


@final
class ItemRecording:
    """What is written down of one cycle of a batch.

    Args:
        run: the run.
        item: packs items.
        output: packs what they give.
    """

    __slots__ = ("_chunks", "_full", "_item", "_output", "_over", "_patience", "_run", "_some", "_todo")

    def __init__(self, run: Run, item: Codec[Any], output: Codec[Any]) -> None:
        self._run = run
        self._item = item
        self._output = output
        self._todo: list[Done] = []
        self._chunks = count()
        self._some = trio.Event()
        self._full = trio.Event()
        self._over = False
        self._patience = CHUNK_SECONDS
        """How many seconds of work the next chunk waits for."""

    def items(self) -> list[Any] | None:
        """The list that was loaded in a process that is gone."""
        body = self._run.journal.places.get(ITEMS)
        return None if body is None else [self._item.unpack(bytes(item)) for item in read_list(body)]

    async def begin(self, work: Any, *, fresh: bool) -> None:
        """Write down the list, or take in what its items have given already."""
        if fresh:
            # What a failed attempt has left does not belong to this list.
            packed = [Raw(self._item.pack(item)) for item in work.items]
            await self._run.journal.keep(encode(packed), ITEMS, anew=True)
            return
        self._patience = 0.0
        for part, body in self._run.journal.outcomes.items():
            next(self._chunks)
            if part.startswith(CHUNK):
                for done in read_done(body):
                    value = self._output.unpack(bytes(done.output))
                    work.finished[done.at] = (value, None, done.attempts, done.elapsed)
                    work.done += 1
        work.todo = iter([(at, item) for at, item in enumerate(work.items) if work.finished[at] is None])

    def add(self, at: int, value: object, attempts: int, elapsed: float) -> None:
        """An item has succeeded; one that failed is not written down, and runs again after a crash.

        Raises:
            DataNotEncodable: what it gave can't be written down.
        """
        self._todo.append(Done(at, Raw(self._output.pack(value)), attempts, elapsed))
        self._some.set()
        if len(self._todo) >= CHUNK_ITEMS:
            self._full.set()

    def end(self) -> None:
        """All items are done: what is left is of no more use than the transition that follows."""
        self._over = True
        self._some.set()
        self._full.set()

    async def until_end(self) -> None:
        """Write down chunk after chunk."""
        while not self._over:
            await self._some.wait()
            with trio.move_on_after(self._patience):
                await self._full.wait()
            self._patience = min(2 * self._patience + SOONER_SECONDS, CHUNK_SECONDS)
            if self._todo and not self._over:
                todo, self._todo = self._todo, []
                self._some, self._full = trio.Event(), trio.Event()
                await self._run.journal.keep_outcomes([(f"{CHUNK}{next(self._chunks)}", encode(todo))])


def read_recording(methods: Mapping[str, Method]) -> Callable[[Mapping[str, bytes], Mapping[str, bytes]], object]:
    """What reads all that was written down of a batch, to see that it can be read."""
    item, output = codec_for(item_type(methods)), codec_for(output_type(methods))

    def read(places: Mapping[str, bytes], outcomes: Mapping[str, bytes]) -> object:
        items = [item.unpack_all(bytes(one)) for body in places.values() for one in read_list(body)]
        return items, [output.unpack_all(bytes(done.output)) for body in outcomes.values() for done in read_done(body)]

    return read


def recorder_of(methods: Mapping[str, Method]) -> Callable[[Run], ItemRecording]:
    """What makes the recording of each cycle of a batch."""
    item, output = codec_for(item_type(methods)), codec_for(output_type(methods))
    return lambda run: ItemRecording(run, item, output)
