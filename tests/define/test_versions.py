"""Which versions and which state names of the past a workflow goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, Flag, auto
from typing import Any, Literal

import pytest

from cano_trio import DefinitionError, Problem, Workflow


class Step(Enum):
    FETCH = auto()
    DONE = auto()
    LOAD = FETCH


class Other(Enum):
    FETCH = auto()


class Bits(Flag):
    FETCH = auto()
    DONE = auto()
    BOTH = FETCH | DONE


def workflow(**arguments: Any) -> Workflow[Step]:
    return Workflow(Step, initial=Step.FETCH, exits=[Step.DONE], **arguments)


def refused(**arguments: Any) -> Problem:
    """The only problem of a constructor call."""
    with pytest.raises(DefinitionError) as caught:
        workflow(**arguments)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("E03", "workflow")
    assert "test_versions.py:" in problem.site
    return problem


def migrate(version: int, kind: str, raw: Any) -> Any:
    return raw


def accepted(work: Workflow[Step]) -> list[int]:
    return [version for version in range(1, 6) if work.accepts_version(version)]


def test_own_version_alone() -> None:
    """Nothing said, a workflow goes on with the runs of its own version, and with no older or newer one."""
    assert accepted(workflow(version=3)) == [3]


def test_named_versions() -> None:
    """What `accepts` names is accepted besides the own version, and with a `migrate` nothing more; any iterable will do."""

    def older() -> Iterator[int]:
        yield 2

    assert accepted(workflow(version=4, accepts=(1, 3))) == [1, 3, 4]
    assert accepted(workflow(version=4, accepts=[1, 3], migrate=migrate)) == [1, 3, 4]
    assert accepted(workflow(version=4, accepts=older())) == [2, 4]


def test_every_older_version() -> None:
    """A `migrate` alone takes every older version, and no newer one."""
    assert accepted(workflow(version=4, migrate=migrate)) == [1, 2, 3, 4]


@pytest.mark.parametrize("accepts", [[3], [4], [0], [-1], [True], [1, "2"], [1.0], [[1]]], ids=str)
def test_versions_that_are_none_before(accepts: Any) -> None:
    """E03: `accepts` takes whole numbers from 1 to below the own version, all of them."""
    problem = refused(version=3, accepts=accepts)
    assert problem.message == f"accepts is {accepts!r}: it takes versions before this one, which is 3"
    assert problem.hint == "Pass a list, such as accepts=[1] beside version=2."


@pytest.mark.parametrize("accepts", [1, None, "12"])
def test_accepts_is_a_list(accepts: Any) -> None:
    """E03: a bare number, a string and None are no versions."""
    assert refused(version=3, accepts=accepts).message.startswith(f"accepts is {accepts!r}: ")


async def sleepy(version: int, kind: str, raw: Any) -> Any:
    return raw


@pytest.mark.parametrize("given", [sleepy, 3, dict], ids=["async", "number", "class"])
def test_migrate_is_a_plain_function(given: Any) -> None:
    """E03: an async function, a class and what can't be called don't migrate."""
    problem = refused(version=2, migrate=given)
    assert (problem.message, problem.hint) == (
        f"migrate is {given!r}",
        "Pass a plain function, such as `def migrate(version, kind, raw): return raw`.",
    )


def test_names_of_states() -> None:
    """A state is found by its name, by another that the Enum has for it, and by an alias; else there is none."""
    work = workflow(aliases={"GET": Step.FETCH, "END": Step.DONE})
    names = ("FETCH", "LOAD", "GET", "DONE", "END", "get", "")
    assert [work.state_named(name) for name in names] == [
        Step.FETCH, Step.FETCH, Step.FETCH, Step.DONE, Step.DONE, None, None,
    ]  # fmt: skip
    assert workflow().state_named("GET") is None


def test_names_of_combined_flags() -> None:
    """A Flag's combination is no state, even if it has a name."""
    work = Workflow(Bits, initial=Bits.FETCH, exits=[Bits.DONE])
    assert work.state_named("FETCH") is Bits.FETCH
    assert work.state_named("BOTH") is None


@pytest.mark.parametrize(
    "aliases, message",
    [
        ([("OLD", Step.DONE)], "aliases is [('OLD', <Step.DONE: 2>)], not a mapping"),
        ({1: Step.DONE}, "aliases has 1: <Step.DONE: 2>"),
        ({"OLD": "DONE"}, "aliases has 'OLD': 'DONE'"),
        ({"OLD": Other.FETCH}, "aliases has 'OLD': <Other.FETCH: 1>"),
        ({"FETCH": Step.DONE}, "aliases has 'FETCH', which Step has itself"),
        ({"LOAD": Step.FETCH}, "aliases has 'LOAD', which Step has itself"),
    ],
)
def test_aliases_refused(aliases: Any, message: str) -> None:
    """E03: an alias maps a name that no state has to one of the states."""
    assert refused(aliases=aliases).message == message


def test_what_was_given_is_kept() -> None:
    """The arguments can be read back; the aliases don't change with the dict that was given, nor in a copy with other tasks."""
    given = {"GET": Step.FETCH}
    work = workflow(version=2, accepts=[1], migrate=migrate, aliases=given)

    async def fetch() -> Literal[Step.DONE]:
        return Step.DONE

    work.register(Step.FETCH, fetch)
    given.clear()
    for it in (work, work.with_tasks({Step.FETCH: fetch})):
        assert (it.accepts, it.migrate, it.aliases) == (frozenset([1]), migrate, {"GET": Step.FETCH})
