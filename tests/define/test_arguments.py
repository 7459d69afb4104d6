"""What `Workflow(...)` itself refuses, and what `validate` says of its arguments (E01, E02, E03, E18, E19)."""

from __future__ import annotations

import dataclasses
from enum import Enum, Flag, StrEnum, auto
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from cano_trio import DefinitionError, Problem, TaskConfig, Workflow


class Step(Enum):
    WORK = auto()
    DONE = auto()


class Other(Enum):
    WORK = auto()
    DONE = auto()


class Text(StrEnum):
    WORK = auto()
    DONE = auto()


class Empty(Enum):
    pass


class Bits(Flag):
    WORK = auto()
    DONE = auto()
    REST = auto()
    BOTH = WORK | DONE


class Unhashable(Enum):  # noqa: PLW1641  (on purpose)
    WORK = auto()
    DONE = auto()

    def __eq__(self, other: object) -> bool:
        return self is other


def refused(states: Any = Step, **arguments: Any) -> Problem:
    """The only problem of a constructor call."""
    given: dict[str, Any] = {"initial": Step.WORK, "exits": [Step.DONE]} | arguments
    with pytest.raises(DefinitionError) as caught:
        Workflow(states, **given)
    (problem,) = caught.value.problems
    assert problem.place == "workflow"
    assert problem.severity == "error"
    assert "test_arguments.py:" in problem.site
    return problem


@pytest.mark.parametrize(
    "arguments, message, hint",
    [
        ({"states": "Step"}, "states is 'Step', not an Enum class", "Pass the class itself."),
        ({"states": Step.WORK}, "states is <Step.WORK: 1>, not an Enum class", "Pass the class itself."),
        ({"states": int}, "states is <class 'int'>, not an Enum class", "Pass the class itself."),
        ({"states": Empty}, "Empty has no members", "Give it one for each state."),
        ({"states": Enum}, "Enum has no members", "Give it one for each state."),
        (
            {"initial": Other.WORK},
            "the initial state <Other.WORK: 1> is no member of Step",
            "Pass a member, such as Step.WORK.",
        ),
        ({"initial": "WORK"}, "the initial state 'WORK' is no member of Step", "Pass a member, such as Step.WORK."),
        ({"initial": None}, "the initial state None is no member of Step", "Pass a member, such as Step.WORK."),
        (
            {"exits": [Step.DONE, Other.DONE]},
            "exits is [<Step.DONE: 2>, <Other.DONE: 2>]: it takes members of Step",
            "Pass a list, such as exits=[Step.DONE].",
        ),
        (
            {"exits": Step.DONE},
            "exits is <Step.DONE: 2>: it takes members of Step",
            "Pass a list, such as exits=[Step.DONE].",
        ),
        (
            {"exits": Step},
            "exits is <enum 'Step'>: it takes members of Step",
            "Pass a list, such as exits=[Step.DONE].",
        ),
        ({"exits": "DONE"}, "exits is 'DONE': it takes members of Step", "Pass a list, such as exits=[Step.DONE]."),
        ({"exits": None}, "exits is None: it takes members of Step", "Pass a list, such as exits=[Step.DONE]."),
        ({"version": 0}, "version is 0", "Count versions from 1."),
        ({"version": True}, "version is True", "Count versions from 1."),
        ({"version": "2"}, "version is '2'", "Count versions from 1."),
        ({"max_transitions": 0}, "max_transitions is 0", "Pass a positive whole number, or None."),
        ({"max_transitions": 2.5}, "max_transitions is 2.5", "Pass a positive whole number, or None."),
        ({"max_transitions": True}, "max_transitions is True", "Pass a positive whole number, or None."),
        ({"name": 3}, "name is 3", "Pass a string that is not empty, or leave it out."),
        ({"name": ""}, "name is ''", "Pass a string that is not empty, or leave it out."),
        ({"resources": {"limit": 3}}, "resources is of type dict", "Pass Resources({...})."),
        ({"resources": 3}, "resources is of type int", "Pass Resources(...)."),
        ({"defaults": {"retry": 3}}, "defaults is {'retry': 3}", "Pass a TaskConfig(...)."),
    ],
)
def test_constructor_refuses(arguments: dict[str, Any], message: str, hint: str) -> None:
    """E03: a wrong argument is refused at once, by a message that names it and a hint that mends it."""
    problem = refused(**arguments)
    assert (problem.code, problem.message, problem.hint) == ("E03", message, hint)


def test_exits_of_a_string_enum() -> None:
    """E03: a StrEnum's member is a string, whose letters are no states; and hints show the member, not its value."""
    problem = refused(Text, initial=Text.WORK, exits=Text.DONE)
    assert problem.message == "exits is <Text.DONE: 'done'>: it takes members of Text"
    assert problem.hint == "Pass a list, such as exits=[Text.DONE]."


@pytest.mark.parametrize("state", [Bits.WORK | Bits.REST, Bits.BOTH, Bits(0)], ids=str)
def test_combinations_of_a_flag_are_no_states(state: Bits) -> None:
    """E03, E20, E22, E11: of a Flag only the single members are states, wherever a state is asked for."""
    problem = refused(Bits, initial=state, exits=[Bits.DONE])
    assert (problem.code, problem.hint) == ("E03", "Pass a member, such as Bits.WORK.")
    problem = refused(Bits, initial=Bits.WORK, exits=[state])
    assert (problem.code, problem.hint) == ("E03", "Pass a list, such as exits=[Bits.REST].")

    async def work_on() -> Literal[Bits.DONE]:
        return Bits.DONE

    work = Workflow(Bits, initial=Bits.WORK, exits=[Bits.DONE])
    with pytest.raises(DefinitionError, match=r"E22 workflow: .* is no state of Bits .*Pass a member of Bits"):
        work.register(state, work_on)
    work.register(Bits.WORK, work_on, on_error={OSError: state})
    assert [problem.code for problem in work.problems()] == ["E20", "W10"]
    work = Workflow(Bits, initial=Bits.WORK, exits=[Bits.DONE])
    work_on.__annotations__["return"] = Literal[state]
    work.register(Bits.WORK, work_on)
    (problem,) = work.problems()
    assert problem.code == "E11"
    assert problem.message.startswith("work_on is annotated to return ")


async def test_a_run_starts_in_a_single_member() -> None:
    """E22: a Flag's combination is no state to start in; its single members are, and the run goes its way."""
    work = Workflow(Bits, initial=Bits.WORK, exits=[Bits.DONE])

    @work.task(Bits.WORK)
    async def work_on() -> Literal[Bits.DONE]:
        return Bits.DONE

    for state in (Bits.BOTH, Bits(0)):
        with pytest.raises(
            DefinitionError, match=r"E22 workflow: the start .* is no state of Bits. Start in .*Bits.WORK"
        ):
            await work.run(start=state)
    assert (await work.run(start=Bits.WORK)).path == (Bits.WORK, Bits.DONE)


def test_members_that_can_not_be_hashed() -> None:
    """E03: states are looked up, so that an Enum with __eq__ and without __hash__ is none to use."""
    problem = refused(Unhashable, initial=Unhashable.WORK, exits=[Unhashable.DONE])
    assert problem.code == "E03"
    assert problem.message == "the members of Unhashable can't be hashed: unhashable type: 'Unhashable'"
    assert problem.hint.startswith("It defines __eq__ without __hash__: write __hash__ = Enum.__hash__ into it")


def test_exits_may_be_any_iterable_once() -> None:
    """WFL-6: exits come from any iterable, an iterator included, and doubles count once."""
    work = Workflow(Step, initial=Step.WORK, exits=iter([Step.DONE, Step.DONE]))
    assert work.exits == {Step.DONE}


def test_refusal_names_the_line_of_the_call() -> None:
    """E03: the site is the line that calls `Workflow`, not one of ours."""
    with pytest.raises(DefinitionError) as caught:
        Workflow(Step, initial=Step.WORK, exits=[Step.DONE], version=-1)
    line = test_refusal_names_the_line_of_the_call.__code__.co_firstlineno + 3
    assert caught.value.problems[0].site.endswith(f"test_arguments.py:{line}")


def test_defaults_are_stored() -> None:
    """WFL-8: what is not given has the documented value."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])
    assert (work.name, work.version, work.data, work.resources, work.max_transitions) == ("Step", 1, None, None, None)
    assert work.defaults == TaskConfig()


def test_no_tasks() -> None:
    """E01: a workflow without tasks is no workflow."""
    (problem,) = Workflow(Step, initial=Step.WORK, exits=[Step.DONE]).problems()
    assert (problem.code, problem.place, problem.message) == ("E01", "workflow", "no state has a task")
    assert problem.hint == "Write @workflow.task(Step.WORK) over an async function."


def test_no_exits() -> None:
    """E02: without exits no run could ever end."""
    work = Workflow(Step, initial=Step.WORK, exits=[])

    @work.task(Step.WORK)
    async def again() -> Literal[Step.WORK]:
        return Step.WORK

    (problem,) = work.problems()
    assert (problem.code, problem.place, problem.message) == ("E02", "workflow", "no exit states")
    assert problem.hint == "Pass some, such as exits=[Step.DONE]."


def test_nothing_at_all_is_told_at_once() -> None:
    """E01, E02 and E18 come together."""
    work: Workflow[Step, Any] = Workflow(Step, initial=Step.WORK, exits=[], data=list[int])
    assert [problem.code for problem in work.problems()] == ["E01", "E02", "E18"]
    with pytest.raises(DefinitionError) as caught:
        work.validate()
    assert caught.value.problems == work.problems()


@dataclasses.dataclass(frozen=True)
class FrozenDataclass:
    size: int


@attrs.frozen
class FrozenAttrs:
    size: int


@attrs.frozen(slots=False)
class FrozenDict:
    size: int


class FrozenStruct(msgspec.Struct, frozen=True):
    size: int


class Row(NamedTuple):
    size: int


@dataclasses.dataclass
class Dataclass:
    size: int


@attrs.define
class Attrs:
    size: int


class Struct(msgspec.Struct):
    size: int


class Plain:
    size: int


def data_problems(data: Any) -> list[Problem]:
    work: Workflow[Step, Any] = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=data)

    @work.task(Step.WORK)
    async def work_on() -> Literal[Step.DONE]:
        return Step.DONE

    return list(work.problems())


@pytest.mark.parametrize(
    "data", [FrozenDataclass, FrozenAttrs, FrozenDict, FrozenStruct, Row, tuple, int, str, frozenset, Step]
)
def test_data_that_can_not_change(data: type) -> None:
    """E19: each state writes its part into the data, so that their type must not be frozen."""
    (problem,) = data_problems(data)
    assert (problem.code, problem.place) == ("E19", "workflow")
    assert problem.message == f"the data type {data.__name__} can't be changed"
    assert problem.hint == "Each state writes its part into the data: use a class that is not frozen."
    assert "test_arguments.py:" in problem.site


@pytest.mark.parametrize("data", [Dataclass, Attrs, Struct, Plain, dict, list, None])
def test_data_that_can_change(data: type | None) -> None:
    """E19 speaks of frozen types only."""
    assert data_problems(data) == []


@pytest.mark.parametrize("data, name", [(Dataclass(3), "Dataclass"), ("Order", "str")])
def test_data_that_is_no_type(data: object, name: str) -> None:
    """E18: data takes the class, not one of its instances."""
    (problem,) = data_problems(data)
    assert (problem.code, problem.place) == ("E18", "workflow")
    assert problem.message == f"data is {data!r}, not a type"
    assert problem.hint == f"Pass the class, such as data={name}."


T = TypeVar("T")


class Pair(Generic[T]):
    pass


class Fields(TypedDict):
    size: int


class Sized(Protocol):
    size: int


PLAIN = "Pass the plain class, data={0}, or one made of it, such as class Data({1})."
WRAPPED = "Pass a class, such as a dataclass with a field of that type."


@pytest.mark.parametrize(
    "data, what, hint",
    [
        (dict[str, int], "not a type", PLAIN.format("dict", "dict[str, int]")),
        (Pair[int], "not a type", PLAIN.format("Pair", f"{__name__}.Pair[int]")),
        (list[str], "not a type", PLAIN.format("list", "list[str]")),
        (Annotated[list[str], "names"], "not a type", PLAIN.format("list", "list[str]")),
        (Dataclass | None, "not a type", WRAPPED),
        (int | str, "not a type", WRAPPED),
        (Literal["a"], "not a type", WRAPPED),
        (NewType("Name", str), "not a type", WRAPPED),
        (T, "not a type", WRAPPED),
        (Any, "which has no instances", WRAPPED),
        (Fields, "which has no instances", WRAPPED),
        (Sized, "which has no instances", WRAPPED),
    ],
    ids=str,
)
async def test_data_that_is_an_annotation(data: Any, what: str, hint: str) -> None:
    """E18: what stands in annotations only is no type of data, and the hint tells what to write for it."""
    (problem,) = data_problems(data)
    assert (problem.code, problem.message, problem.hint) == ("E18", f"data is {data!r}, {what}", hint)


async def test_class_made_of_an_alias() -> None:
    """E18's hint holds: a class made of the alias is data like any other."""

    class Data(dict[str, int]):
        pass

    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], data=Data)

    @work.task(Step.WORK)
    async def count(data: Data) -> Literal[Step.DONE]:
        data["a"] += 1
        return Step.DONE

    assert (await work.run(Data(a=1))).data == {"a": 2}


def test_repr() -> None:
    """A workflow shows its name, its size and where it is defined."""
    work = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], name="ingest")
    assert repr(work).startswith("<Workflow 'ingest' of 0 tasks, ")
    assert repr(work).endswith(f"test_arguments.py:{test_repr.__code__.co_firstlineno + 2}>")
    assert f"{work}" == repr(work)
