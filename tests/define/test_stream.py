"""What is wrong with the definition of a stream (E15, E16, E17, E21, E23, W16)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any, Literal

import pytest
import trio

from cano_trio import CloseReason, DefinitionError, StreamTask, TaskConfig, Window, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()
    STOPPED = auto()


class Page: ...


async def process(page: Page) -> tuple[str, int]:
    return "", 0


async def generate(cursor: int | None) -> AsyncIterator[Page]:
    yield Page()


async def flush(outputs: list[str]) -> Literal[Step.STOPPED] | None:
    return None


async def close(reason: CloseReason) -> Literal[Step.DONE]:
    return Step.DONE


async def bury(page: Page, error: Exception) -> None: ...


def stream(
    process: Callable[..., Any] = process,
    open: Callable[..., Any] | None = generate,  # noqa: A002  (the method's name)
    flush_window: Callable[..., Any] | None = flush,
    on_close: Callable[..., Any] | None = close,
    dead_letter: Callable[..., Any] | None = None,
    **options: Any,
) -> Any:
    """A workflow of one stream, untyped, for what a type checker would refuse."""
    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE, Step.STOPPED])
    consume = work.stream(Step.WORK, name="consume", **options)(process)
    methods = {"open": open, "flush_window": flush_window, "on_close": on_close, "dead_letter": dead_letter}
    for name, function in methods.items():
        if function is not None:
            getattr(consume, name)(function)
    return work


def found(work: Any) -> list[str]:
    """All problems, without their places."""
    return [f"{it.code} {it.message}" for it in work.problems()]


def test_nothing_is_wrong() -> None:
    """A complete stream has no problems, and leads where flush_window and on_close say."""
    work = stream()
    assert found(work) == []
    assert set(work.blueprint()[Step.WORK].targets) == {Step.DONE, Step.STOPPED}


@pytest.mark.parametrize("method", ["open", "flush_window", "on_close"])
def test_incomplete(method: str) -> None:
    """E16: each method that is missing is named."""
    methods: dict[str, Any] = {method: None}
    assert f"E16 consume has no {method}" in found(stream(**methods))


def test_dead_letter_is_wanted() -> None:
    """E16: on_item_error="dead_letter" wants a dead_letter."""
    (problem,) = stream(on_item_error="dead_letter").problems()
    assert str(problem).startswith("E16 WORK: consume has on_item_error='dead_letter', but no dead_letter")
    assert problem.hint == "Write @consume.dead_letter over an async function."
    assert found(stream(on_item_error="dead_letter", dead_letter=bury)) == []


def test_dead_letter_is_idle() -> None:
    """W16: a dead_letter that is never called is told."""
    (problem,) = stream(dead_letter=bury).problems()
    assert problem.severity == "warning"
    assert problem.message == "consume has no on_item_error='dead_letter', so its dead_letter is never called"
    assert problem.hint == "Give it on_item_error='dead_letter', or delete dead_letter."


def returning(hint: Any) -> Callable[..., Any]:
    async def opening(cursor: int | None) -> Any: ...

    opening.__annotations__["return"] = hint
    return opening


def taking(function: Callable[..., Any], **hints: Any) -> Callable[..., Any]:
    """A function that returns what another does, and takes these."""

    async def one(it: Any) -> Any: ...

    async def two(it: Any, error: Any) -> Any: ...

    other = one if len(hints) == 1 else two
    names = other.__code__.co_varnames
    other.__annotations__ = dict(zip(names, hints.values(), strict=True)) | {
        "return": function.__annotations__["return"]
    }
    return other


@pytest.mark.parametrize(
    "methods, message",
    [
        (
            {"process": taking(process, page=str)},
            "consume.open: its source gives Page, but consume.process_item takes str",
        ),
        (
            {"open": returning(AsyncIterator[str])},
            "consume.open: its source gives str, but consume.process_item takes Page",
        ),
        (
            {"open": returning(trio.MemoryReceiveChannel[str])},
            "consume.open: its source gives str, but consume.process_item takes Page",
        ),
        (
            {"open": returning(list[Page])},
            (
                f"consume.open: it returns list[{__name__}.Page], which is no source. Return an async iterable, a receive "
                "channel, or an async context manager giving one"
            ),
        ),
        (
            {"open": taking(generate, cursor="int")},
            "consume.open: it takes a int, but is first called without a cursor: write int | None",
        ),
        (
            {"open": taking(generate, cursor="str | None")},
            "consume.open: it takes a str | None, but the cursor of consume.process_item is a int",
        ),
        (
            {"flush_window": taking(flush, outputs=list[int])},
            "consume.flush_window: it takes list[int], but gets list[str]",
        ),
        ({"on_close": taking(close, reason=str)}, "consume.on_close: it takes str, but gets CloseReason"),
        (
            {"dead_letter": taking(bury, page=str, error=Exception), "on_item_error": "dead_letter"},
            "consume.dead_letter: it takes str, but gets Page",
        ),
        (
            {"dead_letter": taking(bury, page=Page, error=OSError), "on_item_error": "dead_letter"},
            "consume.dead_letter: it takes OSError, but gets Exception",
        ),
    ],
)
def test_methods_that_disagree(methods: dict[str, Any], message: str) -> None:
    """E17: item, output and cursor are each of one type in all methods; where they are not, both sides are named."""
    assert f"E17 {message}" in found(stream(**methods))


def test_no_cursor() -> None:
    """E17: process_item must give an output and a cursor."""

    async def bare(page: Page) -> str:
        return ""

    assert "E17 consume.process_item: it returns str. Return (output, cursor), such as -> tuple[Row, int]" in found(
        stream(bare)
    )


def test_generics() -> None:
    """E17: what a class names as its item, output and cursor must be what its methods take and give."""

    class Consume(StreamTask[Step, str, bytes, float]):
        async def open(self, cursor: Any) -> Any: ...

        async def process_item(self, page: Page) -> tuple[str, int | str]:  # type: ignore[override]
            return "", 0

        async def flush_window(self, outputs: list[str]) -> None: ...  # type: ignore[override]

        async def on_close(self, reason: CloseReason) -> Literal[Step.DONE]:
            return Step.DONE

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, Consume())
    assert [it.removeprefix("E17 Consume.process_item: its ") for it in found(work) if it.startswith("E17")] == [
        "item is a Page, but the class names str",
        "out is a str, but the class names bytes",
        "cursor is a int | str, but the class names float",
    ]


def test_a_cursor_that_can_not_be_written_down() -> None:
    """E23: a cursor's type must have a JSON form, for a journal to go on behind it."""

    async def complicated(page: Page) -> tuple[str, complex]:
        return "", 0

    work = stream(complicated, open=returning(AsyncIterator[Page]))
    assert "E23 consume.process_item: its cursor can't be written down as JSON: complex.complex" in found(work)


def test_what_open_may_be() -> None:
    """open may be an async function, an async generator, or what a decorator makes of one; the others are async functions."""

    @asynccontextmanager
    async def manage(cursor: int | None) -> AsyncGenerator[trio.MemoryReceiveChannel[Page], None]:
        yield trio.open_memory_channel[Page](0)[1]

    @trio.as_safe_channel
    async def safe(cursor: int | None) -> AsyncGenerator[Page, None]:
        yield Page()

    def plain(cursor: int | None) -> trio.MemoryReceiveChannel[Page]:
        return trio.open_memory_channel[Page](0)[1]

    for opening in (generate, manage, safe, plain, returning(trio.MemoryReceiveChannel[Page])):
        assert found(stream(open=opening)) == []
    with pytest.raises(DefinitionError, match=r"E15 WORK: consume\.open is 3, not an async function"):
        stream(open=3)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match=r"E15 WORK: consume\.flush_window is an async generator"):
        stream(flush_window=generate)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 3}, "window is 3: it takes a Window, such as Window(count=100, seconds=1.0)"),
        ({"on_item_error": "retry"}, "on_item_error is 'retry': it takes 'fail', 'skip' or 'dead_letter'."),
        ({"max_errors": -1}, "max_errors is -1: it takes a whole number, 0 or more"),
        ({"drain_timeout": 0}, "drain_timeout is 0: it takes a positive number of seconds"),
        ({"concurrency": 3}, "consume has no option concurrency"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    """E21: an option that can't be is refused when the stream is defined, with what it takes."""
    with pytest.raises(DefinitionError) as caught:
        stream(**options)
    (problem,) = caught.value.problems
    assert problem.code == "E21"
    assert message in problem.message


@pytest.mark.parametrize(
    "numbers, message",
    [
        ({}, r"a Window\(\) is never full\. Pass count=100, seconds=1\.0, or both\."),
        ({"count": 0}, "count is 0: it takes a whole number, 1 or more"),
        ({"count": True}, "count is True: it takes a whole number, 1 or more"),
        ({"seconds": 0}, "seconds is 0: it takes a positive number of seconds"),
        ({"seconds": float("nan")}, "seconds is nan"),
    ],
)
def test_windows(numbers: dict[str, Any], message: str) -> None:
    """STM-3, STM-4: cano mends a window of 0 items or 0 seconds; here it is refused."""
    with pytest.raises(ValueError, match=message):
        Window(**numbers)


def test_defaults() -> None:
    """STM-1, RET-2: a window of one item, the first failure fails, and there is no retry, whatever the workflow's defaults."""
    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], defaults=TaskConfig(attempt_timeout=3))
    work.stream(Step.WORK)(process)
    node = work.blueprint()[Step.WORK].node
    assert node.knobs == {"window": Window(count=1), "on_item_error": "fail", "max_errors": None, "drain_timeout": 30.0}
    assert (node.config.retry.retries, node.config.attempt_timeout) == (0, 3)
