"""LangGraph, with its own SQLite checkpointer."""

import asyncio
from operator import add
from typing import Annotated, TypedDict

import peer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


class Count(TypedDict):
    """The data."""

    number: int


class Numbers(TypedDict):
    """What a fan-out gathers."""

    found: Annotated[list, add]


def counting(times):
    """A graph that goes through its node so many times."""

    async def work(state):
        return {"number": state["number"] + 1}

    graph = StateGraph(Count)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    graph.add_conditional_edges("work", lambda state: "work" if state["number"] < times else END)
    return graph


async def transition(times, _):
    """A run of so many transitions, each of which changes data."""
    await counting(times).compile().ainvoke({"number": 0}, {"recursion_limit": times + 10})


async def fan_out(times, _):
    """So many items at once."""

    async def one(item):
        return {"found": [item["number"] + 1]}

    graph = StateGraph(Numbers)
    graph.add_node("one", one)
    graph.add_conditional_edges(START, lambda _: [Send("one", {"number": item}) for item in range(times)], ["one"])
    graph.add_edge("one", END)
    await graph.compile().ainvoke({"found": []}, {"recursion_limit": times + 10})


async def durable(times, folder):
    """A hundred runs at once, each transition on disk before the next."""
    each = times // peer.RUNS
    async with AsyncSqliteSaver.from_conn_string(str(folder / "runs.db")) as saver:
        app = counting(each).compile(checkpointer=saver)

        async def run(name):
            config = {"configurable": {"thread_id": name}, "recursion_limit": each + 10}
            await app.ainvoke({"number": 0}, config, durability="sync")

        await asyncio.gather(*(run(str(number)) for number in range(peer.RUNS)))


peer.main({"transition": transition, "fan-out": fan_out, "durable": durable})
