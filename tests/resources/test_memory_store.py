"""The store for values that tasks hand on."""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import pytest
import trio
from trio.testing import MockClock

from cano_trio import (
    CanoError,
    KeyNotFound,
    MemoryStore,
    PerRun,
    Resources,
    StoreError,
    StoreTypeMismatch,
    TaskConfig,
    Workflow,
)


class Step(Enum):
    WORK = auto()
    DONE = auto()


def counting(resources: Resources) -> Workflow[Step]:
    """A workflow that notes its turn, takes a second, and fails if there is a key `fail`."""
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources, defaults=TaskConfig.minimal())

    @workflow.task(Step.WORK)
    async def work(store: MemoryStore) -> Literal[Step.DONE]:
        store.append("log", len(store))
        await trio.sleep(1)
        store.append("log", "end")
        if "fail" in store:
            raise OSError("down")
        return Step.DONE

    return workflow


async def test_concurrent_runs_share_one_store(autojump_clock: MockClock) -> None:
    """MEM-1: a store is one object for all runs; what one appends all see."""
    store = MemoryStore()
    workflow = counting(Resources(store=store))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(workflow.orchestrate)
    assert store.get("log", list) == [0, 1, 1, "end", "end", "end"]


@pytest.mark.parametrize("value", ["text", 3, 2.5, [1, 2], {"a": 1}, None, MemoryStore()])
def test_get_gives_the_very_object(value: object) -> None:
    """MEM-2, changed: get hands out the stored object itself, of its class or of a base class."""
    store = MemoryStore()
    store.put("key", value)
    assert store.get("key", type(value)) is store.get("key", object) is value


def test_a_copy_is_deep() -> None:
    """MEM-2: get_copy gives one that can be changed, to the depths, without touching the stored one."""
    store = MemoryStore()
    store.put("rows", {"a": [1]})
    copied = store.get_copy("rows", dict)
    copied["a"].append(2)
    assert (store.get("rows", dict), copied) == ({"a": [1]}, {"a": [1, 2]})


def test_missing_key_names_its_like() -> None:
    """MEM-2: the error for a missing key proposes what looks like it."""
    store = MemoryStore()
    store.put("orders", 1)
    store.put("order", 2)
    store.put("zzz", 3)
    for get in (store.get, store.get_copy):
        with pytest.raises(KeyNotFound) as caught:
            get("ordrs", int)
        assert str(caught.value) == "key 'ordrs' not found in the store. Did you mean 'orders' or 'order'?"
        assert (caught.value.key, caught.value.near) == ("ordrs", ("orders", "order"))
    with pytest.raises(KeyNotFound) as caught:
        store.get("quite other", int)
    assert str(caught.value) == "key 'quite other' not found in the store"
    assert isinstance(caught.value, KeyError)


def test_another_type_is_refused() -> None:
    """MEM-2: a value of another class is not handed out; the message names both classes."""
    store = MemoryStore()
    store.put("rows", "three")
    for get in (store.get, store.get_copy):
        with pytest.raises(StoreTypeMismatch, match=r"^the store holds a str under 'rows', not a int$") as caught:
            get("rows", int)
    assert (caught.value.key, caught.value.wanted, caught.value.found) == ("rows", "int", "str")
    assert isinstance(caught.value, TypeError)


def test_a_bool_is_no_number() -> None:
    """MEM-2: as in cano, True is not an int; it is a bool and an object."""
    store = MemoryStore()
    store.put("flag", value=True)
    with pytest.raises(StoreTypeMismatch, match="holds a bool under 'flag', not a int"):
        store.get("flag", int)
    with pytest.raises(StoreTypeMismatch, match="not a float"):
        store.get("flag", float)
    assert store.get("flag", bool) is store.get("flag", object) is True


def test_put_replaces() -> None:
    """MEM-3: a later value takes the place of the earlier one, whatever its type."""
    store = MemoryStore()
    store.put("key", 1)
    store.put("key", 2)
    assert store.get("key", int) == 2
    store.put("key", "text")
    assert (store.get("key", str), len(store)) == ("text", 1)


def test_append_makes_and_lengthens_a_list() -> None:
    """MEM-4: the first append makes a list, the next ones lengthen it."""
    store = MemoryStore()
    store.append("log", 1)
    assert store.get("log", list) == [1]
    store.append("log", "two")
    assert store.get("log", list) == [1, "two"]


def test_append_leaves_lists_handed_out_alone() -> None:
    """MEM-4: copy on write, for a list that was got and for one that was put."""
    store, put = MemoryStore(), [1]
    store.put("log", put)
    got = store.get("log", list)
    store.append("log", 2)
    assert (put, got, store.get("log", list)) == ([1], [1], [1, 2])


@pytest.mark.parametrize("value", ["text", (1,), {1}, None, 0])
def test_append_to_no_list_changes_nothing(value: object) -> None:
    """MEM-4: a value that is no list stays as it is, also an empty or false one."""
    store = MemoryStore()
    store.put("log", value)
    with pytest.raises(StoreTypeMismatch, match=f"holds a {type(value).__name__} under 'log', not a list"):
        store.append("log", 2)
    assert store.get("log", object) is value


def test_remove_contains_keys_len_clear() -> None:
    """MEM-5: removing what is not there is fine; keys are in order of first coming."""
    store = MemoryStore()
    assert (len(store), store.keys(), repr(store), "b" in store) == (0, (), "<MemoryStore empty>", False)
    for key in ("b", "a", "c", "b"):
        store.put(key, 1)
    assert (len(store), [*store], repr(store)) == (3, ["b", "a", "c"], "<MemoryStore b, a, c>")
    store.remove("a")
    store.remove("a")
    store.remove("never there")
    assert ("a" in store, "b" in store, store.keys()) == (False, True, ("b", "c"))
    store.clear()
    assert (len(store), store.keys()) == (0, ())


async def test_runs_neither_clear_nor_roll_back(autojump_clock: MockClock) -> None:
    """MEM-6: what a run stored is there for the next, and stays when a run fails."""
    store = MemoryStore()
    workflow = counting(Resources(store=store))
    await workflow.orchestrate()
    store.put("fail", value=True)
    with pytest.raises(OSError, match="down"):
        await workflow.orchestrate()
    assert store.get("log", list) == [0, "end", 2, "end"]


async def test_per_run_each_run_has_its_own(autojump_clock: MockClock) -> None:
    """MEM-6, G-RES-3: as a `PerRun`, runs at the same time do not mix their values."""
    seen: list[list[object]] = []
    resources = Resources(store=PerRun(MemoryStore))
    workflow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE], resources=resources)

    @workflow.task(Step.WORK)
    async def work(store: MemoryStore) -> Literal[Step.DONE]:
        store.append("log", len(store))
        await trio.sleep(1)
        store.append("log", "end")
        seen.append(store.get("log", list))
        return Step.DONE

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(workflow.orchestrate)
    assert seen == [[0, "end"]] * 3


@pytest.mark.parametrize("error", [KeyNotFound("k"), StoreTypeMismatch("k", "int", "str")])
def test_store_errors_are_errors_of_the_package(error: Exception) -> None:
    """MEM-7: they are StoreErrors and CanoErrors with their whole text, in which the key is named."""
    assert isinstance(error, StoreError)
    assert isinstance(error, CanoError)
    assert "'k'" in str(error)
