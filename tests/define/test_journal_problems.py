"""What stands in the way of a journal: what can't be written down, messages of one name, volatile stores (E24, E25, E26)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import pytest
import trio

from cano_trio import (
    BatchResults,
    BatchTask,
    BranchTask,
    CircuitBreaker,
    CompensatableTask,
    MemoryStore,
    More,
    PerRun,
    Resources,
    RunContext,
    Shared,
    Split,
    Task,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    REST = auto()
    DONE = auto()


class Inner(Enum):
    BEGIN = auto()
    END = auto()


class Handle: ...


@dataclass
class Plain:
    name: str = ""


@dataclass
class Holding:
    handle: Handle


@dataclass
class Said:
    text: str


First = Said


def another() -> type:
    @dataclass
    class Said:
        text: str

    return Said


Second = another()

PLAIN = "of plain values: numbers, strings, a dataclass of such; things belong in resources."


def workflow(**arguments: Any) -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.WORK, exits=[Step.DONE], **arguments)


def found(work: Any, *given: Any) -> list[str]:
    return [f"{problem.code} {problem.place} {problem.message}" for problem in work.journal_problems(*given)]


def annotated(returns: Any, **takes: Any) -> Any:
    """An async function with these annotations."""
    text = f"async def work({', '.join(takes)}): ..."
    names: dict[str, Any] = {}
    exec(text, names)
    run = names["work"]
    run.__annotations__ = {**takes, "return": returns}
    run.__module__ = __name__
    return run


def batch(item: Any, output: Any, listed: Any = list, results: Any = BatchResults, **options: Any) -> Any:
    """A workflow of a batch with these annotations."""
    work = workflow()
    process = work.batch(Step.WORK, **options)(annotated(output, item=item))
    process.load(annotated(listed))
    process.finish(annotated(Literal[Step.DONE], results=results))
    return work


# -- E24: what can't be written down


def test_data() -> None:
    """E24: data that JSON can't hold are fine without a journal, and named with their part for one."""
    work = workflow(data=Holding)
    work.task(Step.WORK)(annotated(Literal[Step.DONE]))
    work.validate()
    (problem,) = work.journal_problems()
    assert (problem.code, problem.place, problem.severity) == ("E24", "workflow", "error")
    assert problem.message == "the data can't be written down as JSON: Holding.handle.Handle"
    assert problem.hint == f"Make the data {PLAIN} Or run it without a journal."
    assert "test_journal_problems.py:" in problem.site


def test_cursors_and_receipts_are_told_once() -> None:
    """What is a problem without a journal too (E23) is told by `problems` alone."""
    work = workflow()
    work.stepped(Step.WORK)(annotated(More[Handle] | Literal[Step.DONE], cursor=Handle | None))
    assert [problem.code for problem in work.problems() if problem.severity == "error"] == ["E23"]
    assert work.journal_problems() == ()


@pytest.mark.parametrize(
    "item, output",
    [
        (int, Plain),
        (Path, None),
        (Any, Any),
        (object, object),
        (int, NoReturn),
        (int, Literal[Step.DONE]),
        (Step, bytes),
    ],
    ids=str,
)
def test_batches_of_plain_values(item: Any, output: Any) -> None:
    """Items and outputs of plain values are fine; so are those of which no annotation says what they are."""
    assert found(batch(item, output)) == []


def test_batch() -> None:
    """E24: items and outputs of a batch are written down, unless it says that they need not be."""
    work = batch(Handle, Holding)
    assert found(work) == [
        "E24 WORK work.process_item: its item can't be written down as JSON: Handle.Handle",
        "E24 WORK work.process_item: its output can't be written down as JSON: Holding.handle.Handle",
    ]
    assert work.journal_problems()[1].hint == (
        f"Make the output {PLAIN} Or pass record_items=False: after a crash the whole batch is then done again."
    )
    assert found(batch(Handle, Holding, record_items=False)) == []


@pytest.mark.parametrize(
    "item, listed, wrong",
    [
        (object, list[Handle], True),
        (Handle | int, list[int], False),
        (Handle | int, Annotated[Sequence[int], "rows"], False),
        (Handle | int, tuple[int, str], False),
        (int | Handle, tuple[int, Handle], True),
        (Handle, tuple[Any, ...], True),
        (int, list, False),
    ],
    ids=str,
)
def test_what_load_lists_comes_first(item: Any, listed: Any, wrong: bool) -> None:  # noqa: FBT001
    """Items are written down as what `load` lists, which may be less than `process_item` takes; else as what that takes."""
    assert bool(found(batch(item, int, listed))) is wrong


def test_what_finish_takes_comes_last() -> None:
    """Where neither `load` nor `process_item` tells, what `finish` takes does."""
    assert len(found(batch(Any, Any, list, BatchResults[Handle, Handle]))) == 2
    assert found(batch(int, int, list, BatchResults[Any, Any])) == []


def test_batch_task() -> None:
    """E24: the class form is told like the function form, and its attribute opts out."""

    class Open(BatchTask[Step, Path, Handle]):
        async def load(self) -> list[Path]:
            return []

        async def process_item(self, item: Path) -> Handle:
            return Handle()

        async def finish(self, results: BatchResults[Path, Handle]) -> Literal[Step.DONE]:
            return Step.DONE

    class Unrecorded(Open):
        record_items = False

    for task, codes in (Open(), ["E24"]), (Unrecorded(), []):
        work = workflow()
        work.register(Step.WORK, task)
        assert [problem.code for problem in work.journal_problems()] == codes


async def gives_handle() -> Handle:
    return Handle()


async def gives_plain() -> Plain:
    return Plain()


class Bid(BranchTask[Handle]):
    async def run(self) -> Handle:
        return Handle()


class Names(Task[Step]):
    async def run(self) -> Literal[Step.DONE]:
        return Step.DONE


class Undoable(CompensatableTask[Any, int]):
    async def run(self) -> tuple[Handle, int]:
        return Handle(), 3

    async def compensate(self, receipt: int) -> None: ...


def test_branches_of_a_fixed_split() -> None:
    """E24: what a branch returns is written down; of one that can be undone, what it pairs with its receipt."""
    work = workflow()
    branches: dict[str, Any] = {"a": gives_handle, "b": gives_plain, "c": Bid(), "d": Names(), "e": Undoable()}
    work.register_split(Step.WORK, Split.all(branches, Step.DONE))
    assert found(work) == [
        "E24 WORK gives_handle: its result can't be written down as JSON: Handle.Handle",
        "E24 WORK Bid: its result can't be written down as JSON: Handle.Handle",
        "E24 WORK Undoable.run: its result can't be written down as JSON: Handle.Handle",
    ]


def test_declared_branches() -> None:
    """E24: the items and results of `Split.over` are told once, however many splits may choose the branch."""
    work = workflow()

    async def look(item: Handle) -> Handle:
        return item

    async def split() -> Split[Literal[Step.DONE]] | Literal[Step.REST]:
        return Step.REST

    async def again() -> Split[Literal[Step.DONE]]:
        return Split.over(work, [], Step.DONE)

    work.branch(look)
    assert found(work) == []
    work.split(Step.WORK)(split)
    work.split(Step.REST)(again)
    assert found(work) == [
        "E24 look look: its item can't be written down as JSON: Handle.Handle",
        "E24 look look: its result can't be written down as JSON: Handle.Handle",
    ]


def test_messages() -> None:
    """E24: each type of message is looked at by itself, so that several dataclasses are fine, and a bad one is named."""
    work = workflow()
    work.receive(Step.WORK)(annotated(Literal[Step.DONE], message=Plain | Said | Holding))
    assert found(work) == ["E24 WORK work.on_message: its message can't be written down as JSON: Holding.handle.Handle"]


def test_messages_that_a_task_receives() -> None:
    """E24: what a task's context receives is written down as what a receive takes."""
    work = workflow()
    work.task(Step.WORK)(annotated(Literal[Step.REST], ctx=RunContext[Plain | Holding], other=RunContext))
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=Said, ctx=RunContext[Handle]))
    assert found(work) == [
        "E24 WORK work: its message can't be written down as JSON: Holding.handle.Handle",
        "E24 REST work.on_message: its message can't be written down as JSON: Handle.Handle",
    ]


def test_order_of_the_states() -> None:
    """Problems come in the order of the states, those of the workflow first, and are found anew after a change."""
    work = workflow(data=Holding)
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=Handle))
    assert [problem.place for problem in work.journal_problems()] == ["workflow", "REST"]
    assert work.journal_problems()[0] is work.journal_problems()[0]
    work.receive(Step.WORK)(annotated(Literal[Step.REST], message=Handle))
    assert [problem.place for problem in work.journal_problems()] == ["workflow", "WORK", "REST"]


def family(of: Any, task: Callable[[Any], object], **arguments: Any) -> Any:
    """A workflow whose state WORK another does, with that data and task."""
    child: Any = Workflow(Inner, initial=Inner.BEGIN, exits=[Inner.END], data=of, name="child")
    task(child)
    work = workflow(data=of, **arguments)
    work.register_child(Step.WORK, child, {Inner.END: Step.DONE})
    return work


def test_children() -> None:
    """E24: what a child workflow has to write down is told with the way there."""

    def task(child: Any) -> None:
        child.receive(Inner.BEGIN)(annotated(Literal[Inner.END], message=Handle))

    assert found(family(Holding, task)) == [
        "E24 workflow the data can't be written down as JSON: Holding.handle.Handle",
        "E24 WORK child: the data can't be written down as JSON: Holding.handle.Handle",
        "E24 WORK/BEGIN work.on_message: its message can't be written down as JSON: Handle.Handle",
    ]


# -- E25: messages of one name


def test_messages_of_one_name() -> None:
    """E25: two classes of one name can't be told apart by a journal; one class in two states is no problem."""
    work = workflow()
    work.receive(Step.WORK)(annotated(Literal[Step.REST], message=First | Plain))
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=First | int))
    assert found(work) == []
    work = work.with_tasks({Step.REST: annotated(Literal[Step.DONE])})
    work._nodes.pop(Step.REST)
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=Second))
    (problem,) = work.journal_problems()
    assert (problem.code, problem.place) == ("E25", "REST")
    assert problem.message == (
        f"work.on_message: its message {__name__}.another.<locals>.Said and {__name__}.Said have the same name, by which a "
        "journal tells messages apart"
    )
    assert problem.hint == "Rename one of the classes."


def test_messages_of_one_name_in_a_child() -> None:
    """E25: a run's messages may be for its child workflows too, so names are one's own among all of them."""

    def task(child: Any) -> None:
        child.receive(Inner.BEGIN)(annotated(Literal[Inner.END], message=First))

    work = family(None, task)
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=Second))
    assert [(problem.code, problem.place) for problem in work.journal_problems()] == [("E25", "WORK/BEGIN")]


def test_messages_of_one_name_that_a_task_receives() -> None:
    """E25: what tasks receive by their contexts counts, too."""
    context: Any = RunContext
    work = workflow()
    work.task(Step.WORK)(annotated(Literal[Step.REST], ctx=RunContext[First]))
    work.receive(Step.REST)(annotated(Literal[Step.DONE], message=First, ctx=context[Second]))
    (problem,) = work.journal_problems()
    assert (problem.code, problem.place) == ("E25", "REST")


# -- E26: volatile stores


def making() -> MemoryStore:
    return MemoryStore()


def unknown() -> Any:
    return MemoryStore()


def storing(**takes: Any) -> Any:
    work = workflow()
    work.task(Step.WORK)(annotated(Literal[Step.DONE], **takes))
    return work


@pytest.mark.parametrize(
    "given",
    [MemoryStore(), PerRun(MemoryStore), Shared(MemoryStore), PerRun(making), Shared(partial(MemoryStore))],
    ids=["given", "run", "shared", "function", "partial"],
)
def test_volatile_stores(given: Any) -> None:
    """E26: a task that takes a `MemoryStore` is refused, however that is made, with what to do instead."""
    (problem,) = storing(store=MemoryStore).journal_problems(Resources(rows=given))
    assert (problem.code, problem.place) == ("E26", "WORK")
    assert problem.message == "work: the resource 'rows' is a volatile store, which a crash would empty"
    made = (
        "partial(MemoryStore, volatile_ok=True)"
        if not isinstance(given, MemoryStore)
        else "MemoryStore(volatile_ok=True)"
    )
    assert problem.hint == (
        "Hand values on in the run's data, Workflow(data=...); or, if it holds none that a run needs, make it "
        f"with {made}."
    )


@pytest.mark.parametrize(
    "given",
    [
        MemoryStore(volatile_ok=True),
        PerRun(partial(MemoryStore, volatile_ok=True)),
        Shared(partial(MemoryStore, volatile_ok=True)),
        PerRun(unknown),
    ],
    ids=["given", "run", "shared", "unknown"],
)
def test_stores_that_may_be_lost(given: Any) -> None:
    """A store that is said to be no loss passes, also from a factory; and a factory that does not tell what it makes."""
    assert found(storing(store=MemoryStore), Resources(store=given)) == []


@pytest.mark.parametrize(
    "takes", [{"store": Any}, {"any": Annotated[object, "store"]}, {"it": MemoryStore | None}], ids=str
)
def test_stores_by_any_annotation(takes: dict[str, Any]) -> None:
    """E26: what counts is the resource that the parameter means, not how it is annotated."""
    assert [problem.code for problem in storing(**takes).journal_problems(Resources(store=MemoryStore()))] == ["E26"]


def test_stores_that_nobody_takes() -> None:
    """A store that no task takes, and one that is not there, are no problem."""
    assert found(storing(limit=int), Resources(limit=3, store=MemoryStore())) == []
    assert found(storing(store=MemoryStore), Resources()) == []
    assert found(storing(store=MemoryStore)) == []


def test_stores_among_the_own_resources() -> None:
    """E26: the workflow's own resources are looked at where none are given, and only there."""
    work = workflow(resources=Resources(store=MemoryStore()))
    work.task(Step.WORK)(annotated(Literal[Step.DONE], store=MemoryStore))
    assert [problem.code for problem in work.journal_problems()] == ["E26"]
    assert found(work, Resources(store=MemoryStore(volatile_ok=True))) == []


def test_stores_everywhere() -> None:
    """E26: a branch, a function that chooses a breaker, and a child's task are looked at too."""

    async def asks(store: MemoryStore) -> int:
        return 3

    def task(child: Any) -> None:
        child.task(Inner.BEGIN)(annotated(Literal[Inner.END], store=MemoryStore))

    work = family(None, task)
    work.register_split(Step.REST, Split.all([asks], Step.DONE))
    store = Resources(store=MemoryStore())
    assert [problem.place for problem in work.journal_problems(store)] == ["REST", "WORK/BEGIN"]
    guarded = workflow()
    guarded.task(Step.WORK, breaker=lambda store: store.get("breaker", CircuitBreaker))(annotated(Literal[Step.DONE]))
    assert [problem.code for problem in guarded.journal_problems(store)] == ["E26"]


async def test_shared_stores_once_open() -> None:
    """Once the resources are open, what a factory has made is known, whether it told its type before or not."""
    for volatile_ok, codes in (False, ["E26"]), (True, []):
        async with Resources(store=Shared(partial(make, volatile_ok))) as resources:
            work = storing(store=MemoryStore)
            assert [problem.code for problem in work.journal_problems(resources)] == codes
    await trio.lowlevel.checkpoint()


def make(volatile_ok: bool) -> Any:  # noqa: FBT001
    return MemoryStore(volatile_ok=volatile_ok)
