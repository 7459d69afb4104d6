# pyright: strict, reportUnnecessaryTypeIgnoreComment=false
"""Mistakes that mypy rejects and pyright does not; see `api.py`.

Pyright takes a base method's ``*args: Any, **kwargs: Any`` for gradual and compares no arguments (RULINGS 3.8), and
infers a return type where there is none. `validate` finds these at run time (E06, E17).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import Literal

from cano_trio import (
    BatchResults,
    BatchTask,
    CompensatableTask,
    More,
    ReceiveTask,
    SteppedTask,
    StreamTask,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


class Page: ...


class Row: ...


workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])


@workflow.task(Step.WORK)
async def no_annotation():  # type: ignore[no-untyped-def]
    return Step.DONE


class OtherItem(BatchTask[Step, Page, Row]):
    async def load(self) -> list[Page]:
        return []

    async def process_item(self, item: str) -> Row:  # type: ignore[override]
        return Row()

    async def finish(self, results: BatchResults[Row, Row]) -> Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class OtherCursor(SteppedTask[Step, Page]):
    async def step(self, cursor: Row | None, /) -> More[Page] | Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class NoCursor(SteppedTask[Step, Page]):
    async def step(self) -> More[Page] | Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class PlainResults(BatchTask[Step, Page, Row]):
    async def load(self) -> list[Page]:
        return []

    async def process_item(self) -> Row:  # type: ignore[override]
        return Row()

    async def finish(self, results: list[Row]) -> Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class OtherArguments(StreamTask[Step, Page, Row, int]):
    async def open(self, cursor: str | None) -> AsyncIterator[Page]:  # type: ignore[override]
        yield Page()

    async def process_item(self, page: Row) -> tuple[Row, int]:  # type: ignore[override]
        return Row(), 1

    async def flush_window(self, rows: list[Page]) -> None: ...  # type: ignore[override]

    async def on_close(self, reason: str) -> Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class OtherMessage(ReceiveTask[Step, Page]):
    async def on_message(self, message: Row) -> Literal[Step.DONE]:  # type: ignore[override]
        return Step.DONE


class OtherReceipt(CompensatableTask[Step, Row]):
    async def run(self) -> tuple[Literal[Step.DONE], Row]:
        return Step.DONE, Row()

    async def compensate(self, receipt: Page) -> None: ...  # type: ignore[override]


class NoReceipt(CompensatableTask[Step, Row]):
    async def run(self) -> tuple[Literal[Step.DONE], Row]:
        return Step.DONE, Row()

    async def compensate(self) -> None: ...  # type: ignore[override]
