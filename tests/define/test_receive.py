"""A receive as it is defined: what it must have, what its annotations may say, and how it is drawn."""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated, Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar, Union, runtime_checkable

import pytest

from cano_trio import DefinitionError, Problem, ReceiveTask, Workflow


class Step(Enum):
    ASK = auto()
    AGAIN = auto()
    YES = auto()
    NO = auto()


class Approved: ...


class Rejected: ...


class Named(Protocol):
    name: str


@runtime_checkable
class Sized(Protocol):
    def size(self) -> int: ...


class Fields(TypedDict):
    name: str


Number = NewType("Number", int)
T = TypeVar("T")


def workflow() -> Any:
    """Untyped, for what a type checker would refuse."""
    return Workflow(Step, initial=Step.ASK, exits=[Step.YES, Step.NO])


def receiving(hint: Any) -> Any:
    """A workflow that takes messages of this annotation."""

    async def ask(message: Any) -> Literal[Step.YES, Step.NO]:
        return Step.YES

    ask.__annotations__["message"] = hint
    work = workflow()
    work.receive(Step.ASK)(ask)
    return work


async def late() -> Literal[Step.NO]:
    return Step.NO


class Ask(ReceiveTask[Step, Approved]):
    async def on_message(self, message: Approved) -> Literal[Step.YES]:
        return Step.YES


class AskInTime(Ask):
    async def on_timeout(self) -> Literal[Step.NO]:
        return Step.NO


def problems(work: Any) -> list[Problem]:
    """All but that some states are not used."""
    return [problem for problem in work.problems() if problem.code != "W10"]


def codes(work: Any) -> list[str]:
    return [problem.code for problem in problems(work)]


def only(work: Any) -> Problem:
    (problem,) = problems(work)
    return problem


def test_a_timeout_needs_on_timeout() -> None:
    """E16: a receive with a timeout says what to do then; the hint is that of its form."""
    work: Workflow[Step] = workflow()
    other = workflow()

    @work.receive(Step.ASK, timeout=3)
    async def ask(message: Approved) -> Literal[Step.YES]:
        return Step.YES

    other.register(Step.ASK, Ask(), timeout=3, name="approval")
    assert str(only(work)).startswith("E16 ASK: ask has a timeout, but no on_timeout (")
    assert only(work).hint == "Write @ask.on_timeout over an async function."
    assert str(only(other)).startswith("E16 ASK: approval has a timeout, but no on_timeout (")
    assert only(other).hint == "Write `async def on_timeout` in Ask."
    ask.on_timeout(late)
    work.validate()


def test_on_timeout_without_a_timeout() -> None:
    """W16: without a timeout, an on_timeout is never called; that looks odd, and stops nobody."""
    work = workflow()
    work.register(Step.ASK, AskInTime())
    problem = only(work)
    assert (problem.code, problem.severity) == ("W16", "warning")
    assert problem.message == "AskInTime has no timeout, so its on_timeout is never called"
    work.validate()
    in_time = workflow()
    in_time.register(Step.ASK, AskInTime(), timeout=3)
    in_time.validate()
    assert codes(in_time) == []


@pytest.mark.parametrize("timeout", [0, -1, True, "3", float("nan")])
def test_timeouts_that_are_none(timeout: Any) -> None:
    """E21: a timeout is a positive number of seconds."""
    with pytest.raises(DefinitionError, match="E21 ASK: Ask: timeout is"):
        workflow().register(Step.ASK, Ask(), timeout=timeout)


@pytest.mark.parametrize(
    "hint",
    [
        Approved,
        Approved | Rejected,
        Union[Approved, Rejected, None],  # noqa: UP007
        Annotated[Approved | Rejected, "the answer"],
        "Approved | Rejected",
        int | str,
        object,
        Sized,
    ],
)
def test_messages_that_isinstance_tells(hint: Any) -> None:
    """A message is annotated with a class, or a union of classes, under any alias."""
    assert codes(receiving(hint)) == []


@pytest.mark.parametrize(
    "hint, shown",
    [
        (list[int], "list[int]"),
        (Approved | dict[str, int], "dict[str, int]"),
        (Literal["yes"], "Literal['yes']"),
        (Any, "Any"),
        (Named, "Named"),
        (Fields, "Fields"),
        (Number, "Number"),
        (T, "~T"),
    ],
)
def test_messages_that_isinstance_does_not_tell(hint: Any, shown: str) -> None:
    """E17: what isinstance can't tell is no type of a message, since nobody could say which state takes it."""
    problem = only(receiving(hint))
    assert problem.code == "E17"
    assert "ask.on_message: isinstance can't tell what is a" in problem.message
    assert shown in problem.message.replace("tests.define.test_receive.", "")


def test_message_without_annotation() -> None:
    """E14, E16: a message without an annotation could be any, and a function that takes none is no receive."""
    work: Workflow[Step] = workflow()
    other = workflow()

    @work.receive(Step.ASK)
    async def ask(message) -> Literal[Step.YES]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return Step.YES

    other.receive(Step.ASK)(late)
    assert only(work).code == "E14"
    assert only(work).message == "ask.on_message: parameter 'message' has no annotation"
    assert only(other).message == "late.on_message: it must take message first"


def test_unresolvable_message_is_told_once() -> None:
    """E05: an annotation that can't be resolved is one problem, not two."""
    assert only(receiving("Missing")).code == "E05"


def test_class_and_method_agree() -> None:
    """E17: `on_message` takes every message that the class names; it may take more."""

    class Narrow(ReceiveTask[Step, Approved | Rejected]):
        async def on_message(self, message: Approved) -> Literal[Step.YES]:  # type: ignore[override]
            return Step.YES

    class Wide(ReceiveTask[Step, Approved]):
        async def on_message(self, message: Approved | Rejected) -> Literal[Step.YES, Step.NO]:
            return Step.YES

    work, other = workflow(), workflow()
    work.register(Step.ASK, Narrow())
    other.register(Step.ASK, Wide())
    assert "Narrow.on_message: it takes Approved, but the class names" in only(work).message
    assert codes(other) == []


def test_generic_message() -> None:
    """A class for any message knows its own: the type variable stands for what the derived class says."""

    class Whatever(ReceiveTask[Step, T], Generic[T]):
        async def on_message(self, message: T) -> Literal[Step.YES, Step.NO]:
            return Step.YES

    class OfApproved(Whatever[Approved]): ...

    work, other = workflow(), workflow()
    work.register(Step.ASK, OfApproved())
    other.register(Step.ASK, Whatever())
    assert codes(work) == []
    assert only(other).code == "E17"


def drawn(form: str) -> str:
    work: Workflow[Step] = workflow()

    @work.receive(Step.ASK, timeout=3)
    async def ask(message: Approved) -> Annotated[Literal[Step.YES], "approved"] | Literal[Step.NO]:
        return Step.YES

    @ask.on_timeout
    async def on_timeout() -> Annotated[Literal[Step.NO], "too late"] | Literal[Step.AGAIN]:
        return Step.NO

    work.receive(Step.AGAIN)(receiving_function)
    return format(work, form)


async def receiving_function(message: Approved) -> Literal[Step.YES]:
    return Step.YES


def test_ascii() -> None:
    """Plain text: the edges of the timeout say so, unless the annotation says better."""
    assert (
        drawn("ascii")
        == """\
Step
* ASK  (receive ask)
    --> YES  approved
    --> NO  too late
    --> AGAIN  timeout
o YES
o NO
  AGAIN  (receive receiving_function)
    --> YES"""
    )


def test_mermaid() -> None:
    """Mermaid: a receive is a flag, into which a message comes."""
    lines = drawn("mermaid").splitlines()
    assert '    ASK>"ASK<br/><i>receive ask</i>"]' in lines
    assert '    ASK -->|"timeout"| AGAIN' in lines
    assert "    AGAIN --> YES" in lines


def test_dot() -> None:
    """Graphviz: the same."""
    lines = drawn("dot").splitlines()
    assert r'  "ASK" [label="ASK\nreceive ask", shape=cds];' in lines
    assert '  "ASK" -> "AGAIN" [label="timeout"];' in lines
