"""How a batch advances: workers that pull items, and hold a limiter's token for a turn, not for an item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._define.batch import BatchResults
from .._define.blueprint import Plan
from .._define.config import TaskConfig
from .._errors import JournalError
from .attempt import attempt, judge, without_this_frame
from .batch_recording import ItemRecording, read_recording, recorder_of
from .cycle import bind_cycle
from .parting import bared, parted
from .run import Run
from .unit import Binder, Unit

TURN_ITEMS = 64
TURN_SECONDS = 0.001
"""What a worker may do before it looks whether others wait for its token; asking costs as much as a trivial item."""

PROGRESS_SECONDS = 0.1
"""Between two progress events."""


def bind_batch(step: Any, plan: Plan[Any], binder: Binder) -> None:
    """Make the state's step attempt the whole cycle: load, all items, finish (cano BAT-7)."""
    node = plan.node
    knobs = node.knobs
    item_config = TaskConfig(
        retry=knobs["item_retry"], retry_on=knobs["item_retry_on"], attempt_timeout=knobs["item_timeout"]
    )
    load = binder.unit(plan.methods["load"])
    item = binder.unit(plan.methods["process_item"], config=item_config, bare=True)
    finish = binder.unit(plan.methods["finish"], writes=True)
    concurrency = knobs["concurrency"]

    async def cycle(run: Run, number: int) -> Any:
        recording = recorder(run) if run.durable and knobs["record_items"] else None
        known = None if recording is None or number > 1 else recording.items()
        items = await load.once(run, number, part="/load") if known is None else known
        limiter = trio.CapacityLimiter(concurrency) if isinstance(concurrency, int) else concurrency
        if not isinstance(items, Sequence) or isinstance(items, (str, bytes)):
            raise TypeError(f"{load.label} returned {items!r}. Return a list, or another sequence of items.")
        work = Work(run, item, list(items), limiter, recording)
        if recording is not None:
            await recording.begin(work, fresh=known is None)
        run.report_progress(work.done, len(work.items))
        if work.done < len(work.items):
            await work.off()
        return await finish.once(run, number, BatchResults.of(work.items, work.finished))

    recorder = recorder_of(plan.methods)
    step.reads = read_recording(plan.methods)
    bind_cycle(step, plan, binder, cycle, writes=finish.takes_draft)


@final
class Work:
    """The items of one cycle while they are worked off."""

    __slots__ = (
        "done", "finished", "items", "limiter", "nursery", "passing", "recording", "run", "todo", "told", "unit", "workers"
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        unit: Unit,
        items: list[Any],
        limiter: trio.CapacityLimiter,
        recording: ItemRecording | None,
    ) -> None:
        self.run = run
        self.recording = recording
        self.unit = unit
        self.items = items
        self.limiter = limiter
        self.finished: list[Any] = [None] * len(items)
        """What each item came to; None as long as it is not done."""
        self.todo: Iterator[tuple[int, Any]] = iter(enumerate(items))
        self.done = 0
        self.told = run.started
        self.workers = 0
        self.passing: BaseException | None = None
        """What leaves the state as it is: no `Exception`, or a mistake in the workflow."""

    async def off(self) -> None:
        """Work all items off; an item's failure fills its slot, so nothing but a cancel leaves the nursery."""
        try:
            async with trio.open_nursery() as self.nursery:
                if self.recording is not None:
                    self.nursery.start_soon(self._record, self.recording)
                self._hire()
        except BaseExceptionGroup as group:
            self.passing = self.passing or bared(group)
            raise
        finally:
            if self.passing is not None:  # also instead of a cancel from outside, which must not hide it
                raise self._let_go()

    def _hire(self) -> None:
        """Have as many workers as the limiter has tokens, which may have changed, and as there is work for."""
        wanted = min(self.limiter.total_tokens, len(self.items) - self.done)
        while self.workers < wanted or not self.workers:
            self.workers += 1
            self.nursery.start_soon(self._worker, name=f"{self.unit.label} worker {self.workers}")

    async def _record(self, recording: ItemRecording) -> None:
        """Write down what items gave, until all are done; nobody waits for it but the end."""
        try:
            await recording.until_end()
        except JournalError as error:
            self._leave(error)

    async def _worker(self) -> None:
        # A token of its own: a task that already holds one of a shared limiter could not take another.
        borrower = object()
        more = True
        while more:
            await self.limiter.acquire_on_behalf_of(borrower)
            try:
                more = await self._turn()
            except BaseException as error:
                self._leave(error)
                return
            finally:
                self.limiter.release_on_behalf_of(borrower)

    def _let_go(self) -> BaseException:
        """What passes, which is kept no longer: it holds frames by its traceback, and they this object."""
        passing, self.passing = self.passing, None
        assert passing is not None  # noqa: S101  (who asks has looked)
        return passing

    def _leave(self, error: BaseException) -> None:
        """An item was cut off, or raised what passes, or both: its own nursery may have put them in a group.

        Only the cancel may leave by our nursery, which puts whatever else passes it in a group of its own. An item that
        failed as it was cut off has no slot to fill: nobody will see the results.
        """
        cancel, rest = parted(error)
        if rest is not None and (rest is self.run.mistake or not isinstance(rest, Exception)):
            self.passing = self.passing or rest
            self.nursery.cancel_scope.cancel(f"{type(rest).__name__} passes through {self.unit.label}")
        if cancel is not None:
            raise cancel

    async def _turn(self) -> bool:  # noqa: C901  (the hot loop: a call more is a tenth of a trivial item)
        """Work items off until the token is to go round (True) or no item is left (False)."""
        run, unit, clock, finished, recording = self.run, self.unit, self.run.clock, self.finished, self.recording
        counting = unit.retry.retries > 0
        if run.durable:
            await run.may_begin()
        begun = clock()
        ends = begun + TURN_SECONDS
        for done, (at, item) in enumerate(self.todo, 1):
            made = [1] if counting else None
            value = failure = None
            try:
                args = (item, *unit.args)
                part = "" if unit.fill is None else f"/i:{at}"
                if counting:
                    value = await attempt(run, unit, args, part, made)
                else:
                    # Its only attempt, made here: one coroutine more would be a tenth of a trivial item.
                    value = await unit.call(*(args if unit.fill is None else unit.fill(run, 1, args, part)))
                if recording is not None:
                    recording.add(at, value, 1 if made is None else made[0], clock() - begun)
            except Exception as error:
                if not counting:
                    judge(run, unit, 1, error)
                if error is run.mistake:
                    raise
                failure = without_this_frame(error)
            now = clock()
            finished[at] = (value, failure, 1 if made is None else made[0], now - begun)
            self.done += 1
            if recording is not None and self.done == len(self.items):
                recording.end()
            if run.observers and (now >= self.told + PROGRESS_SECONDS or self.done == len(self.items)):
                self.told = now
                run.report_progress(self.done, len(self.items))
            if done % TURN_ITEMS and now < ends:
                await checkpoint_if_cancelled()
                begun = now
                continue
            if not await self._goes_on():
                return True
            begun = clock()
            ends = begun + TURN_SECONDS
        return False

    async def _goes_on(self) -> bool:
        """Let others have their turn; then whether the token is kept for one more."""
        await checkpoint()
        self._hire()
        if self._token_is_wanted():
            return False
        if self.run.durable:
            await self.run.may_begin()
        return True

    def _token_is_wanted(self) -> bool:
        """The limit was lowered under us, or every token is out and somebody waits for one."""
        free = self.limiter.available_tokens
        return free < 0 or (free == 0 and self.limiter.statistics().tasks_waiting > 0)
