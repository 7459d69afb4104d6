"""A workflow drawn: as Mermaid, as Graphviz dot, and as plain text."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from .blueprint import Edge, Plan


class Drawable(Protocol):
    """What a drawing needs of a definition."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def initial(self) -> Any:
        """Where it begins."""

    @property
    def exits(self) -> frozenset[Any]:
        """Where it ends."""
        ...

    def blueprint(self) -> Mapping[Any, Plan[Any]]:
        """Its states."""
        ...


def draw(workflow: Drawable, form: str) -> str:
    """The workflow in one of the forms of `FORMS`.

    Raises:
        ValueError: there is no such form.
    """
    if form not in FORMS:
        raise ValueError(f'no drawing {form!r}: there are {", ".join(FORMS)}. Write f"{{workflow:mermaid}}".')
    return "\n".join(FORMS[form](workflow))


def _states(workflow: Drawable) -> list[Enum]:
    """All states of the drawing, in the order in which a run may meet them; then those that no run meets."""
    plans = workflow.blueprint()
    found: dict[Enum, None] = {}
    for root in (workflow.initial, *plans):
        todo: deque[Enum] = deque([root])
        while todo:
            state = todo.popleft()
            if state not in found:
                found[state] = None
                todo += [edge.target for edge in plans[state].edges] if state in plans else []
    return list(found)


def _text(workflow: Drawable, state: Enum) -> tuple[str, str]:
    """What stands in a state's box: its name and what works there."""
    plan = workflow.blueprint().get(state)
    if plan is None:
        return state.name, ""
    return state.name, plan.node.work


DRAWN_BRANCHES = 8
"""How many branches of a split are drawn one by one."""


def _branches(plan: Plan[Any]) -> list[str]:
    """What stands in the boxes between the two bars of a split; nothing for other models."""
    if not any(edge.joins for edge in plan.edges):
        return []
    if plan.node.split is None:
        return [f"{name}, once per item" for name in plan.branches] or ["once per item"]
    texts = [f"{name} {branch.node.name}" for name, branch in plan.branches.items()] or ["no branch"]
    return (
        texts
        if len(texts) <= DRAWN_BRANCHES
        else [*texts[: DRAWN_BRANCHES - 1], f"{len(texts) - DRAWN_BRANCHES + 1} more"]
    )


class _Bars(NamedTuple):
    """A split drawn: ids of its two bars, and of the boxes between them with their texts."""

    fork: str
    join: str
    boxes: dict[str, str]

    def links(self, state: str) -> Iterator[tuple[str, str]]:
        """The lines from its state over its branches to its join."""
        yield state, self.fork
        for box in self.boxes:
            yield self.fork, box
            yield box, self.join


def _all_bars(workflow: Drawable, ids: Mapping[Enum, str]) -> dict[Enum, _Bars]:
    taken = set(ids.values())
    bars: dict[Enum, _Bars] = {}
    for state, plan in workflow.blueprint().items():
        if texts := _branches(plan):
            names = ["fork", "join", *(f"branch{at}" for at in range(len(texts)))]
            fork, join, *boxes = [_free(f"{ids[state]}_{name}", taken) for name in names]
            taken |= {fork, join, *boxes}
            bars[state] = _Bars(fork, join, dict(zip(boxes, texts, strict=True)))
    return bars


# The shape of a state by its model, for each form; other models are drawn as a task is.
_MERMAID_SHAPES = {
    "router": ("{{", "}}"),
    "batch": ("[[", "]]"),
    "poll": ("[/", "/]"),
    "timer": ("((", "))"),
    "stepped": ("[/", "\\]"),
    "receive": (">", "]"),
    "stream": ("[\\", "\\]"),
    "compensatable": ("[\\", "/]"),
}
_DOT_SHAPES = {
    "router": "diamond",
    "batch": "box3d",
    "poll": "parallelogram",
    "timer": "ellipse",
    "stepped": "trapezium",
    "receive": "cds",
    "child": "component",
    "stream": "rarrow",
    "compensatable": "larrow",
}
_RED = "#c0392b"
_MERMAID_WORDS = {"call", "class", "classdef", "click", "default", "direction", "end", "flowchart", "graph", "href"} | {
    "linkstyle", "style", "subgraph",
}  # fmt: skip


def _mermaid_ids(states: Sequence[Enum], prefix: str, taken: Collection[str]) -> dict[Enum, str]:
    """What stands for each state: its name, unless Mermaid would trip over that."""
    plain = {
        state: f"{prefix}{state.name}"
        for state in states
        if state.name.isascii() and state.name.isidentifier() and state.name.lower() not in _MERMAID_WORDS
    }
    reserved = {*taken, *plain.values(), *_MERMAID_WORDS}
    ids: dict[Enum, str] = {}
    for number, state in enumerate(states):
        name = plain.get(state, f"{prefix}state{number}")
        ids[state] = name if state in plain and name not in taken else _free(name, reserved)
        reserved.add(ids[state])
    return ids


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _mermaid(workflow: Drawable) -> Iterator[str]:
    lines = list(_mermaid_body(workflow, (), "", set(), itertools.count()))
    yield "flowchart TD"
    yield from (f"    {line}" for line in lines)
    if any(line.endswith(":::bar") for line in lines):
        yield "    classDef bar fill:#333,stroke:#333"


def _mermaid_body(
    workflow: Drawable, around: tuple[Drawable, ...], prefix: str, taken: set[str], links: Iterator[int]
) -> Iterator[str]:
    """A workflow's states and the lines between them, those of the child workflows in boxes of their own.

    Args:
        workflow: the workflow.
        around: those whose child it is, the outermost first.
        prefix: what its ids begin with.
        taken: ids that are not free; it adds its own.
        links: counts the lines, which are styled by their number.
    """
    plans = workflow.blueprint()
    states = _states(workflow)
    ids = _mermaid_ids(states, prefix, taken)
    taken |= set(ids.values())
    start = _free(f"{prefix}START", taken)
    taken.add(start)
    yield f"{start}(( )) --> {ids[workflow.initial]}"
    next(links)
    for state in states:
        left, right = ("([", "])") if state in workflow.exits else ("[", "]")
        if state in plans:
            left, right = _MERMAID_SHAPES.get(plans[state].node.model.name, (left, right))
        title, work = _text(workflow, state)
        shown = f"{_escaped(title)}<br/><i>{_escaped(work)}</i>" if work else _escaped(title)
        if (child := _child(workflow, state, around)) is None:
            yield f'{ids[state]}{left}"{shown}"{right}'
            continue
        yield f'subgraph {ids[state]}["{shown}"]'
        inside = _mermaid_body(child, (*around, workflow), f"{ids[state]}_", taken, links)
        yield from (f"    {line}" for line in inside)
        yield "end"
    bars = _all_bars(workflow, ids)
    for split in bars.values():
        yield from (f'{bar}[" "]:::bar' for bar in (split.fork, split.join))
        yield from (f'{box}("{_escaped(text)}")' for box, text in split.boxes.items())
    for state, edge in _edges(workflow):
        arrow = "-.->" if edge.anywhere else "-->"
        label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
        yield f"{bars[state].join if edge.joins else ids[state]} {arrow}{label} {ids[edge.target]}"
        number = next(links)
        if edge.error:
            yield f"linkStyle {number} stroke:{_RED},color:{_RED}"
    for state, split in bars.items():
        for begin, end in split.links(ids[state]):
            yield f"{begin} --> {end}"
            next(links)


def _child(workflow: Drawable, state: Enum, around: tuple[Drawable, ...]) -> Drawable | None:
    """The workflow that does a state's work, unless it is drawn around it: a workflow may be its own child."""
    plan = workflow.blueprint().get(state)
    child: Any = None if plan is None else plan.node.child
    return None if any(child is one for one in (*around, workflow)) else child


def _dot(workflow: Drawable) -> Iterator[str]:
    yield f"digraph {_quoted(workflow.name)} {{"
    yield '  node [fontname="Helvetica", shape=box, style=rounded]; edge [fontname="Helvetica", fontsize=10];'
    yield from (f"  {line}" for line in _dot_body(workflow, (), ""))
    yield "}"


def _dot_body(workflow: Drawable, around: tuple[Drawable, ...], prefix: str) -> Iterator[str]:
    """A workflow's states and the lines between them; child workflows are clusters beside the states they work for."""
    plans = workflow.blueprint()
    ids = {state: f"{prefix}{state.name}" for state in _states(workflow)}
    if not around:
        yield f'"" [shape=point]; "" -> {_quoted(ids[workflow.initial])};'
    for state, name in ids.items():
        shape = "doubleoctagon" if state in workflow.exits else "box"
        if state in plans:
            shape = _DOT_SHAPES.get(plans[state].node.model.name, shape)
        label = "\n".join(filter(None, _text(workflow, state)))
        yield f"{_quoted(name)} [label={_quoted(label)}, shape={shape}];"
        if (child := _child(workflow, state, around)) is not None:
            yield f"subgraph {_quoted(f'cluster_{name}')} {{"
            yield f"  label={_quoted(child.name)}; style=rounded;"
            yield from (f"  {line}" for line in _dot_body(child, (*around, workflow), f"{name}/"))
            yield "}"
            yield f"{_quoted(name)} -> {_quoted(f'{name}/{child.initial.name}')} [style=dotted];"
    bars = _all_bars(workflow, ids)
    for state, split in bars.items():
        for bar in (split.fork, split.join):
            yield f'{_quoted(bar)} [label="", shape=box, style=filled, fillcolor="#333333", height=0.05, width=1.5];'
        yield from (f"{_quoted(box)} [label={_quoted(text)}];" for box, text in split.boxes.items())
        yield from (f"{_quoted(start)} -> {_quoted(end)};" for start, end in split.links(ids[state]))
    for state, edge in _edges(workflow):
        styles = [f"label={_quoted(edge.label)}"] if edge.label else []
        styles += [f'color="{_RED}", fontcolor="{_RED}"'] if edge.error else []
        styles += ["style=dashed"] if edge.anywhere else []
        attributes = f" [{', '.join(styles)}]" if styles else ""
        origin = bars[state].join if edge.joins else ids[state]
        yield f"{_quoted(origin)} -> {_quoted(ids[edge.target])}{attributes};"


def draw_lit(workflow: Drawable, states: Collection[Enum], edges: Collection[tuple[Enum, Enum]]) -> str:
    """The workflow as plain text, with a ``>`` before all that a run has met; child workflows are left out.

    Args:
        workflow: the workflow.
        states: the states it entered.
        edges: the ways it took from one to the next.
    """
    lines = [workflow.name]
    for line in _ascii_body(workflow, (), is_whole=False):
        is_lit = line.state in states if line.target is None else (line.state, line.target) in edges
        lines.append(f"{'>' if is_lit else ' '} {line.text}")
    return "\n".join(lines)


class _Line(NamedTuple):
    """A line of plain text: what it says, of which state, or of which edge from it."""

    text: str
    state: Enum
    target: Enum | None = None


def _ascii(workflow: Drawable) -> Iterator[str]:
    yield workflow.name
    yield from (line.text for line in _ascii_body(workflow, ()))


def _ascii_body(workflow: Drawable, around: tuple[Drawable, ...], *, is_whole: bool = True) -> Iterator[_Line]:
    plans = workflow.blueprint()
    for state in _states(workflow):
        mark = "*" if state is workflow.initial else "o" if state in workflow.exits else " "
        title, work = _text(workflow, state)
        yield _Line(f"{mark} {title}{f'  ({work})' if work else ''}", state)
        if is_whole and (child := _child(workflow, state, around)) is not None:
            inside = _ascii_body(child, (*around, workflow))
            yield from (_Line(f"    | {line.text}", state) for line in inside)
        yield from (_Line(f"    === {text}", state) for text in (_branches(plans[state]) if state in plans else ()))
        for edge in plans[state].edges if state in plans else ():
            arrow = "-x>" if edge.error else "..>" if edge.anywhere else "==>" if edge.joins else "-->"
            yield _Line(f"    {arrow} {edge.target.name}{f'  {edge.label}' if edge.label else ''}", state, edge.target)


def _edges(workflow: Drawable) -> Iterator[tuple[Enum, Edge[Any]]]:
    plans = workflow.blueprint()
    for state in _states(workflow):
        for edge in plans[state].edges if state in plans else ():
            yield state, edge


def _escaped(text: str) -> str:
    """Text for Mermaid, in which ``#35;`` is a character, and a line ends where its source does."""
    escaped = text.replace("&", "&amp;").replace("#", "#35;")
    return escaped.replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br/>")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


FORMS: dict[str, Callable[[Drawable], Iterator[str]]] = {"mermaid": _mermaid, "dot": _dot, "ascii": _ascii}
