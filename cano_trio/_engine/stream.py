"""How a stream advances: item by item and window by window, and to one well-defined end, whatever comes between."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from typing import Any, final

import trio
from msgspec import Raw, Struct
from msgspec.structs import replace

from .._define.blueprint import Plan
from .._define.config import TaskConfig
from .._define.context import Outbox
from .._define.stream import CloseReason, Window, cursor_type
from .._errors import CircuitOpen, DataNotWritable, DrainTimeout
from .._journal.codec import JsonCodec
from .._observe.events import WindowFlushed
from .._resilience import Retry
from .attempt import attempt
from .kept import Place, encode, read_place
from .layers import Call
from .parting import bared
from .run import Run
from .source import NOTHING, Source
from .unit import Binder, Unit

_log = logging.getLogger("cano_trio")

MOMENT = 0.1
"""Seconds that a wait for an item may take before observers are told of it: most take none."""


def bind_stream(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step work a stream off."""
    node, methods, config = plan.node, plan.methods, plan.node.config
    knobs = node.knobs
    alone = TaskConfig(retry=config.retry, retry_on=config.retry_on, attempt_timeout=config.attempt_timeout)
    once = TaskConfig(retry=Retry.none(), attempt_timeout=config.attempt_timeout)
    opening, flushing = methods["open"], methods["flush_window"]
    tolerant = knobs["on_item_error"] != "fail"
    parts = Parts(
        label=node.name,
        open=binder.unit(replace(opening, function=_awaited(opening.function)), config=alone),
        item=binder.unit(methods["process_item"], config=config, choosers=plan.plain, bare=tolerant),
        flush=binder.unit(replace(flushing, function=_on_a_copy(flushing.function)), config=alone, writes=True),
        close=binder.unit(methods["on_close"], config=once, writes=True),
        dead_letter=binder.unit(methods["dead_letter"], config=alone) if "dead_letter" in methods else None,
        codec=JsonCodec(cursor_type(methods), "cursor"),
        window=knobs["window"],
        tolerant=tolerant,
        max_errors=math.inf if knobs["max_errors"] is None else knobs["max_errors"],
        drain_timeout=knobs["drain_timeout"],
    )

    async def advance(run: Run, _unit: Any, _args: tuple[object, ...]) -> Any:
        return await Stream(run, parts).work_off()

    step.reads = lambda places, _: [parts.codec.unpack_all(bytes(read_place(body).cursor)) for body in places.values()]
    step.writes = parts.close.takes_draft
    step.advance = advance


def _awaited(opening: Callable[..., Any]) -> Call:
    """What opens a source, as an async function: an async generator, and what a decorator made of one, is none."""

    async def opened(*args: object, **named: object) -> Any:
        source = opening(*args, **named)
        return await source if inspect.isawaitable(source) else source

    return opened


def _on_a_copy(flush: Call) -> Call:
    """The call with a list of its own: a second attempt must get what the first did, whatever that did to it."""

    async def on_a_copy(outputs: list[Any], *args: object, **named: object) -> Any:
        return await flush([*outputs], *args, **named)

    return on_a_copy


@final
class Parts(Struct, frozen=True, kw_only=True):
    """What all streams of a bound state share.

    Args:
        label: the stream's name.
        open: opens the source.
        item: processes one item.
        flush: writes a window.
        close: is called at the end.
        dead_letter: keeps an item that has failed for good, if that is to be done.
        codec: packs cursors.
        window: when to flush.
        tolerant: an item that has failed for good does not fail the stream.
        max_errors: how many of these in a row are tolerated.
        drain_timeout: seconds for each part of the end.
    """

    label: str
    open: Unit
    item: Unit
    flush: Unit
    close: Unit
    dead_letter: Unit | None
    codec: JsonCodec[Any]
    window: Window
    tolerant: bool
    max_errors: float
    drain_timeout: float


@final
class Stream:
    """A stream while it is worked off.

    All but the source stands in a shield. A cancel is heard by a task that waits for nothing else: it interrupts the
    source, and from then on the shield holds for the ``drain_timeout``. A durable run that is released goes on elsewhere
    from the last flushed window: there the shield falls at once, and only the closing is waited for.
    """

    __slots__ = (
        "cancelled",
        "count",
        "covered",
        "cursor",
        "due",
        "errors",
        "failure",
        "gives_way",
        "outbox",
        "outputs",
        "packed",
        "parts",
        "released",
        "run",
        "seconds",
        "shield",
        "source",
        "taken",
        "windows",
    )

    def __init__(self, run: Run, parts: Parts) -> None:
        self.run = run
        self.parts = parts
        self.source = Source(parts.open.label, self._open)
        self.count = parts.window.count or math.inf
        self.seconds = parts.window.seconds or math.inf
        self.due = math.inf
        """When the present window ends."""
        self.outputs: list[Any] = []
        """Those of the present window."""
        self.cursor: Any = None
        """That of its last output."""
        kept = run.journal.places.get("")
        place = None if kept is None else read_place(kept)
        self.packed: Any = None if place is None else bytes(place.cursor)
        """That of the last flushed window; None before the first."""
        self.windows = 0 if place is None else place.number
        """How many have been flushed."""
        self.taken = 0 if place is None else place.taken
        self.covered = 0
        """How many items came since the flushed cursor, and how many of them the present window's cursor lies behind."""
        self.errors = 0
        """How many items in a row have failed."""
        self.cancelled = False
        self.gives_way = False
        """What is at work would be cut off by a release."""
        self.released = False
        """A release has come before the stream was at its end."""
        self.outbox: Outbox | None = None
        """What the flush that named a state wants to happen with the transition."""
        self.failure: BaseException | None = None
        """The first thing that went wrong."""
        self.shield = trio.CancelScope(shield=True)

    async def work_off(self) -> Any:
        """Work it off; gives the next state."""
        parts = self.parts
        stopped: Any = None
        closed: Any = None
        reason: CloseReason | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear_cancel, name=f"{parts.label} (cancel)")
                nursery.start_soon(self.source.run, name=f"{parts.label} (source)")
                stopped = await self._held(parts.label, self._consume, gives_way=self.run.durable)
                with trio.CancelScope(shield=True):
                    await self._noted(self.source.close(parts.drain_timeout))
                reason = self._reason(stopped)
                closed = await self._held(parts.close.label, lambda: parts.close.once(self.run, 1, reason))
                self._join_outboxes()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            self.failure = bared(group)
        if self.failure is not None:
            raise self._let_go()
        if reason in {CloseReason.CANCELLED, CloseReason.RELEASED}:
            await trio.lowlevel.checkpoint()
        return closed if stopped is None else stopped

    def _join_outboxes(self) -> None:
        """Have what the last flush wants happen with the transition, too, and before what the closing wants."""
        run, first = self.run, self.outbox
        if first is not None and run.outbox is not None and run.outbox is not first:
            first.take(run.outbox)
        run.outbox = run.outbox if first is None else first

    async def _hear_cancel(self) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # it goes no further from here: the stream raises its own when it has come to its end
            self.cancelled = True
            if self.gives_way and not self.run.is_cancelled():
                self.shield.cancel()
            else:
                self.shield.deadline = trio.current_time() + self.parts.drain_timeout
            self.source.interrupt()

    async def _held(self, label: str, call: Callable[[], Awaitable[Any]], *, gives_way: bool = False) -> Any:
        """Call behind the shield, and note what it raises; after a cancel it has the ``drain_timeout`` to end.

        What `gives_way` is cut off by a release at once.
        """
        limit = self.parts.drain_timeout
        self.gives_way = gives_way
        self.shield = shield = trio.CancelScope(shield=True)
        if self.cancelled:
            shield.deadline = trio.current_time() + limit

        async def shielded() -> Any:
            with shield:
                return await call()
            if gives_way and not self.run.is_cancelled():
                self.released = True
                return None
            raise DrainTimeout(label, limit)

        return await self._noted(shielded())

    async def _noted(self, work: Awaitable[Any]) -> Any:
        """What some work gives; None if it fails, which is noted: the first failure is the stream's.

        A later one is logged, and noted on the first; unless it is a `KeyboardInterrupt` or its like, which must pass.
        """
        try:
            return await work
        except BaseException as error:
            first = self.failure
            if self.released and isinstance(error, Exception):
                run_id = self.run.run_id  # nothing of it has happened, so it has not failed
                _log.error(
                    "%s failed when it was closed for the release of run %r", self.parts.label, run_id, exc_info=error
                )
            elif first is None or (isinstance(first, Exception) and not isinstance(error, Exception)):
                self.failure = error
            elif error is not first:
                _log.error("%s failed once more while it was closed", self.parts.label, exc_info=error)
                with suppress(Exception):  # a frozen exception refuses notes; another may have no text
                    first.add_note(f"then, while {self.parts.label} was closed: {type(error).__name__}: {error}")
        return None

    def _let_go(self) -> BaseException:
        """The failure, which is kept no longer: it holds frames by its traceback."""
        failure, self.failure = self.failure, None
        assert failure is not None  # noqa: S101  (who asks has looked)
        return failure

    def _reason(self, stopped: Enum | None) -> CloseReason:
        if self.released or self._leaves():
            return CloseReason.RELEASED
        if self.failure is not None:
            return CloseReason.FAILED
        if stopped is not None:
            return CloseReason.STOPPED
        # What has ended has ended, also if a cancel came with the last item; the drive loop heeds it.
        return CloseReason.CANCELLED if self.cancelled and not self.source.ended else CloseReason.EXHAUSTED

    def _leaves(self) -> bool:
        """Whether what has gone wrong stops the run here, and lets it go on elsewhere."""
        run = self.run
        interrupted = self.failure is not None and not isinstance(self.failure, Exception)
        return run.journal.broken is not None or (run.durable and interrupted and not run.is_cancelled())

    async def _open(self) -> Any:
        unit = self.parts.open
        cursor = None if self.packed is None else self.parts.codec.unpack(self.packed)
        return await attempt(self.run, unit, (cursor, *unit.args), "/open")

    async def _consume(self) -> Any:
        """Take items until the source is over or the run is cancelled; or until a flush names a state, which is given."""
        source, run = self.source, self.run
        await source.wait_opened()
        self.due = run.clock() + self.seconds
        stopped: Any = None
        while stopped is None and not self.cancelled:
            item = await self._next()
            if item is not NOTHING:
                await self._process(item)
            elif source.over:
                break
            if self._window_is_full():
                stopped = await self._flush()
        if stopped is None and self.shield.cancel_called:  # what comes now is for whoever goes on
            await trio.lowlevel.checkpoint()
        await self._take_the_last()
        if self.outputs:
            named = await self._flush()
            # A cancelled run goes nowhere (cano STM-15); and who has stopped the stream has said where it goes.
            stopped = named if stopped is None and (source.ended or not self.cancelled) else stopped
        return stopped

    async def _next(self) -> object:
        """The next item, or `NOTHING` at the end of the window; observers are told of a wait that is more than a moment."""
        run, source = self.run, self.source
        until = self.due if self.outputs else math.inf
        if run.observers and (soon := run.clock() + MOMENT) < until:
            item = await source.next(soon)
            if item is not NOTHING or source.over or self.cancelled:
                return item
            run.wait_for("item", None if until == math.inf else until - run.clock())
            try:
                return await source.next(until)
            finally:
                run.wait_is_over()
        return await source.next(until)

    async def _take_the_last(self) -> None:
        """Ask for no more; but an item that comes all the same is not lost."""
        source = self.source
        if source.over and not source.ended and not source.interrupted:
            await source.close(self.parts.drain_timeout)  # raises why; unless its context manager has ended it quietly
        if (item := await source.retract()) is not NOTHING:
            await self._process(item)

    def _window_is_full(self) -> bool:
        if len(self.outputs) >= self.count:
            return True
        return self.seconds < math.inf and bool(self.outputs) and self.run.clock() >= self.due

    async def _process(self, item: Any) -> None:
        run, unit = self.run, self.parts.item
        if run.durable:
            await run.may_begin()
        if self.seconds < math.inf and not self.outputs and (now := run.clock()) >= self.due:
            # Windows without outputs have passed; nobody was woken for them (cano STM-4).
            self.due = now + self.seconds - (now - self.due) % self.seconds
        part = "" if unit.fill is None else f"/w:{self.windows}/i:{self.taken}"
        self.taken += 1
        run.attempts = 1
        try:
            result = await attempt(run, unit, (item, *unit.args), part)
        except Exception as error:
            if not self._tolerates(error):
                raise
            # Inside `except`: what can't be kept as a dead letter, either, fails with the item's failure as its context.
            await self._bury(item, error)
            return
        if not isinstance(result, tuple) or len(result) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError(f"{unit.label} returned {result!r}. Return a pair of the output and the cursor.")
        output, self.cursor = result  # pyright: ignore[reportUnknownVariableType]
        self.outputs.append(output)
        self.covered = self.taken
        self.errors = 0

    def _tolerates(self, error: Exception) -> bool:
        """Whether the stream goes on behind a failed item; one that a breaker refused was not tried, and has not failed."""
        if not self.parts.tolerant or isinstance(error, (CircuitOpen, DataNotWritable)) or error is self.run.mistake:
            return False
        self.errors += 1
        return self.errors <= self.parts.max_errors

    async def _bury(self, item: Any, error: Exception) -> None:
        unit = self.parts.dead_letter
        if unit is not None:
            part = f"/w:{self.windows}/i:{self.taken - 1}/dead_letter"
            await attempt(self.run, unit, (item, error, *unit.args), part)

    async def _flush(self) -> Any:
        """Flush the window; gives the state that this names, or None."""
        run, unit, outputs = self.run, self.parts.flush, self.outputs
        # Before the flush: a cursor that can't be written must not come to light behind an effect.
        packed = self.parts.codec.pack(self.cursor)
        run.attempts = 1
        state = await attempt(run, unit, (outputs, *unit.args), f"/w:{self.windows}")
        if state is not None and id(state) not in run.step.edges:
            run.step.after(state)  # raises: before on_close, which is to be told that the stream has failed
        # Here the window becomes a fact: its end cursor and what the flush wrote, together (cano STM-7).
        self.packed = packed
        if unit.takes_draft:
            run.keep_draft()
        self.outputs = []
        self.windows += 1
        # Items behind the cursor are numbered on: after a crash they come again, and no other may have their key.
        self.taken, self.covered = self.taken - self.covered, 0
        if state is not None:
            self.outbox = run.outbox  # it happens with the transition
        elif run.durable:
            await run.journal.keep(encode(Place(self.windows, Raw(packed), self.taken)))
        if run.letters and state is None:
            run.remove_letters()
        if run.observers:
            run.tell(WindowFlushed, self.windows, len(outputs))
        self.due = run.clock() + self.seconds
        return state
