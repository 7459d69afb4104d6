"""Annotations that are values already (no PEP 563 here), and strings only where they are written as such."""

from enum import Enum, auto
from typing import Annotated, Any, Literal, Optional

from cano_trio import BatchResults, MemoryStore, Resources, RunContext, Task, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()


async def test_values_and_strings() -> None:
    """Values stay as they are, strings are resolved, in whatever they are wrapped."""

    class Local: ...

    seen: list[object] = []
    local, store = Local(), MemoryStore()
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=Resources(local=local, store=store))

    @work.task(Step.WORK)
    async def task(
        one: "Local", two: Optional["Local"], three: Annotated["Local", "local"], store: MemoryStore, ctx: RunContext
    ) -> Literal[Step.DONE]:
        seen.extend([one, two, three, store, ctx.state])
        return Step.DONE

    assert await work.orchestrate() is Step.DONE
    assert seen == [local, local, local, store, Step.WORK]


def test_a_name_that_is_missing() -> None:
    """E05 for a string within a value: the hint that can't be resolved is shown whole."""

    async def task(many: list["Missing"]) -> Literal[Step.DONE]:  # type: ignore[name-defined]  # noqa: F821
        return Step.DONE

    work: Any = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    work.register(Step.WORK, task)
    (problem,) = work.problems()
    assert problem.code == "E05"
    assert "needs the name 'Missing'" in problem.message


def test_a_class_form_with_local_names() -> None:
    """Class forms need no capture where annotations are values."""

    class Local(Enum):
        WORK = auto()
        DONE = auto()

    class Form(Task[Local]):
        class Inside: ...

        async def run(self, inside: Inside | None = None) -> Literal[Local.DONE]:
            return Local.DONE

    work = Workflow(Local, initial=Local.WORK, exits=[Local.DONE])
    work.register(Local.WORK, Form())
    assert work.problems() == ()


def test_batch_results() -> None:
    """The generic arguments of a batch's results are read from values as well."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])

    @work.batch(Step.WORK)
    async def item(item: int) -> str:
        return ""

    @item.load
    async def load() -> list[int]:
        return []

    @item.finish
    async def finish(results: BatchResults[int, str]) -> Literal[Step.DONE]:
        return Step.DONE

    assert work.problems() == ()
