"""What other code wrote, with a field that this code does not know: never dropped, wherever it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import make_dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    BatchResults,
    BranchResults,
    CloseReason,
    More,
    RunBlocked,
    RunContext,
    RunStatus,
    Split,
    Window,
    Workflow,
)
from cano_trio.journals import MemoryJournal


class Step(Enum):
    A = auto()
    B = auto()
    DONE = auto()


KNOWING: Any = make_dataclass("At", [("at", int), ("note", str)])
UNKNOWING: Any = make_dataclass("At", [("at", int)])

Work = Workflow[Step, None]


def at(kind: Any, number: int) -> Any:
    return kind(number, "mind the step") if kind is KNOWING else kind(number)


def hinted(function: Any, **hints: Any) -> Any:
    function.__annotations__ |= hints
    return function


async def until_again(ctx: RunContext[Any]) -> None:
    """Stay for ever in the first process."""
    if not ctx.rerun:
        await trio.sleep_forever()


async def join(results: BranchResults[Any]) -> Literal[Step.DONE]:
    return Step.DONE


def cursor_of_steps(work: Work, kind: Any) -> None:
    async def step(cursor: Any, ctx: RunContext) -> Any:
        if cursor is None:
            return More(at(kind, 1))
        await until_again(ctx)
        return Step.DONE

    work.stepped(Step.A)(hinted(step, cursor=kind | None, **{"return": More[kind] | Literal[Step.DONE]}))


def cursor_of_a_stream(work: Work, kind: Any) -> None:
    async def process(item: int) -> Any:
        return item, at(kind, item)

    async def numbers(cursor: Any) -> AsyncIterator[int]:
        if cursor is None:
            yield 1
            await trio.sleep_forever()

    stream = work.stream(Step.A, window=Window(count=1))(hinted(process, **{"return": tuple[int, kind]}))
    stream.open(hinted(numbers, cursor=kind | None))

    @stream.flush_window
    async def flush(outputs: list[int]) -> None: ...

    @stream.on_close
    async def close(reason: CloseReason) -> Literal[Step.DONE]:
        return Step.DONE


def batch(work: Work, taken: Any, given: Any) -> None:
    async def process(item: Any, ctx: RunContext) -> Any:
        if item != first:
            await until_again(ctx)
        return at(given, 1) if given is not int else 1

    async def load() -> Any:
        return items

    async def finish(results: Any) -> Literal[Step.DONE]:
        return Step.DONE

    items = [1, 2] if taken is int else [at(taken, 1), at(taken, 2)]
    first = items[0]
    whole = work.batch(Step.A)(hinted(process, item=taken, **{"return": given}))
    whole.load(hinted(load, **{"return": list[taken]}))
    whole.finish(hinted(finish, results=BatchResults[taken, given]))


def split(work: Work, given: Any) -> None:
    """A split of two branches, of which the second is slow."""

    async def quick() -> Any:
        return at(given, 1)

    async def slow(ctx: RunContext) -> int:
        await until_again(ctx)
        return 2

    work.register_split(Step.A, Split.all({"quick": hinted(quick, **{"return": given}), "slow": slow}, Step.B))
    work.register(Step.B, join)


def joined(work: Work, kind: Any) -> None:
    async def quick() -> Any:
        return at(kind, 1)

    work.register_split(Step.A, Split.all({"quick": hinted(quick, **{"return": kind})}, Step.B))

    @work.task(Step.B)
    async def stay(results: BranchResults[Any], ctx: RunContext) -> Literal[Step.DONE]:
        await until_again(ctx)
        return Step.DONE


def chosen_split(work: Work, taken: Any, given: Any) -> None:
    async def look(item: Any, ctx: RunContext) -> Any:
        if item != second:
            await until_again(ctx)
        return at(given, 1) if given is not int else 1

    first, second = (1, 2) if taken is int else (at(taken, 1), at(taken, 2))
    branch = work.branch(hinted(look, item=taken, **{"return": given}))

    @work.split(Step.A)
    async def choose() -> Split[Literal[Step.B]]:
        return Split.over(branch, [first, second], Step.B)

    work.register(Step.B, join)


def receipt(work: Work, kind: Any) -> None:
    async def book() -> Any:
        return Step.B, at(kind, 1)

    async def undo(receipt: Any) -> None: ...

    task = work.compensatable(Step.A)(hinted(book, **{"return": tuple[Literal[Step.B], kind]}))
    task.compensate(hinted(undo, receipt=kind))

    @work.task(Step.B)
    async def stay(ctx: RunContext) -> Literal[Step.DONE]:
        await until_again(ctx)
        return Step.DONE


Build = Callable[[Work, Any], None]

PLACES: dict[str, Build] = {
    "cursor of steps": cursor_of_steps,
    "cursor of a stream": cursor_of_a_stream,
    "batch items": lambda work, kind: batch(work, kind, int),
    "batch outcomes": lambda work, kind: batch(work, int, kind),
    "branch items": lambda work, kind: chosen_split(work, kind, int),
    "branch outcomes": split,
    "outcomes of chosen branches": lambda work, kind: chosen_split(work, int, kind),
    "joined outcomes": joined,
    "receipt": receipt,
}


def built(build: Build, kind: Any) -> Work:
    work: Work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="w")
    build(work, kind)
    return work


@pytest.mark.parametrize("place", PLACES)
async def test_a_field_that_this_code_does_not_know_blocks(place: str, autojump_clock: MockClock) -> None:
    """The run is blocked by the field's path and left as it was; code that knows the field goes on with it to its end."""
    knowing, unknowing = (built(PLACES[place], kind) for kind in (KNOWING, UNKNOWING))
    async with MemoryJournal() as journal:
        with trio.move_on_after(1):
            await knowing.run(run_id="r", journal=journal)
        before = await journal.load("r")
        with pytest.raises(RunBlocked, match=r"\w+\.note: there is no such field") as caught:
            await unknowing.resume("r", journal=journal)
        assert caught.value.reason == "data"
        after = await journal.load("r")
        assert (after.cursors, after.outcomes) == (before.cursors, before.outcomes)
        assert after.record.position.status is RunStatus.BLOCKED
        assert "note" in (after.record.position.reason or "")
        assert (await knowing.resume("r", journal=journal)).state is Step.DONE


def receiving(kind: Any) -> Work:
    work: Work = Workflow(Step, initial=Step.A, exits=[Step.DONE], name="w")

    async def take(message: Any, ctx: RunContext) -> Literal[Step.DONE]:
        return Step.DONE

    @work.task(Step.A)
    async def begin(ctx: RunContext) -> Literal[Step.B]:
        await until_again(ctx)
        return Step.B

    work.receive(Step.B)(hinted(take, message=kind))
    return work


async def test_a_message_with_a_field_that_this_code_does_not_know_blocks(autojump_clock: MockClock) -> None:
    """It stays in the inbox, and the run is taken up again by code that knows the field."""
    async with MemoryJournal() as journal:
        async with trio.open_nursery() as nursery:
            run = await nursery.start(partial(receiving(KNOWING).run, run_id="r", journal=journal))
            await run.send(at(KNOWING, 7))
            nursery.cancel_scope.cancel()
        with pytest.raises(RunBlocked, match=r"its message can't be read .* At\.note: there is no such field"):
            await receiving(UNKNOWING).resume("r", journal=journal)
        assert len((await journal.load("r")).messages) == 1
        assert (await receiving(KNOWING).resume("r", journal=journal)).state is Step.DONE
