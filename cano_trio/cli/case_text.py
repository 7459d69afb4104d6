"""A recorded state as the text of a pytest file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, final

import attrs

from .recorded_state import RecordedState

WIDTH = 100
"""Characters of a line; what is longer is written one item a line."""


@final
@attrs.frozen(kw_only=True)
class Home:
    """Where a test finds the workflow.

    Args:
        module: the module.
        workflow: what it is called there; may have dots.
        states: what the Enum of its states is called there; None if it has no name there.
        root: the directory to import it from, seen from the test's; None if no word is needed.
    """

    module: str
    workflow: str
    states: str | None
    root: str | None

    def lines(self) -> Iterator[str]:
        """The imports of the test."""
        names = sorted({self.workflow.split(".")[0], *([] if self.states is None else [self.states])})
        if self.root is None:
            yield "from cano_trio.testing import replay_state"
            yield ""
            yield f"from {self.module} import {', '.join(names)}"
            return
        yield "import sys"
        yield "from pathlib import Path"
        yield ""
        yield "from cano_trio.testing import replay_state"
        yield ""
        yield f"sys.path.insert(0, str(Path(__file__).parent / {literal(self.root)}))"
        yield ""
        yield f"from {self.module} import {', '.join(names)}"

    def state(self, state: Enum) -> str:
        """How the test writes a state."""
        if self.states is not None and state.name.isidentifier():
            return f"{self.states}.{state.name}"
        return f"{self.states or f'{self.workflow}.states'}[{literal(state.name)}]"


def case_text(case: RecordedState, home: Home) -> str:
    """The text of a file with one test, that carries out a state again and compares what it comes to."""
    return "\n".join(_lines(case, home)) + "\n"


def _lines(case: RecordedState, home: Home) -> Iterator[str]:
    name = case.state.name
    yield f'"""{_in_text(name)} of run {_in_text(repr(case.run_id))}, as it was written down."""'
    yield ""
    yield from home.lines()
    yield ""
    if case.data is not None:
        yield f"BEFORE = {literal(case.data)}"
        if case.after != case.data:
            yield f"AFTER = {literal(case.after)}"
        yield ""
    yield ""
    yield f"def test_{_slug(name)}_{_slug(case.run_id)}() -> None:"
    yield f'    """{_in_text(_what(case))}"""'
    yield f"    replayed = {_call(case, home)}"
    yield from (f"    assert {fact}" for fact in _facts(case, home))


def _what(case: RecordedState) -> str:
    """What the test says."""
    begun = f"{case.state.name}, in visit {case.visit}," if case.visit > 1 else case.state.name
    if not case.ended:
        return f"{begun} comes to an end; what that was is not written down."
    if case.next_state is None:
        return f"{begun} fails as it did."
    why = "" if case.failure is None else f" by a {case.failure[0]}"
    return f"{begun} leads to {case.next_state.name}{why}, with the data that were written down."


def _call(case: RecordedState, home: Home) -> str:
    options: dict[str, Any] = {"run_id": case.run_id, "seq": case.seq}
    options |= {"visit": case.visit} if case.visit > 1 else {}
    more = ("version", "cursors", "outcomes", "joined", "messages", "led_here_by")
    options |= {name: value for name in more if (value := getattr(case, name))}
    if case.messages:
        options["messages"] = [*case.messages]
    given = [home.workflow, home.state(case.state), *(["BEFORE"] if case.data is not None else [])]
    given += [f"{name}={literal(value, indent=8)}" for name, value in options.items()]
    line = f"replay_state({', '.join(given)})"
    if len(line) + len("    replayed = ") <= WIDTH and "\n" not in line:
        return line
    return "\n".join(["replay_state(", *(f"        {argument}," for argument in given), "    )"])


def _facts(case: RecordedState, home: Home) -> Iterator[str]:
    """What the test asserts."""
    if not case.ended:
        yield "replayed.next_state is not None"
        return
    yield f"replayed.next_state is {'None' if case.next_state is None else home.state(case.next_state)}"
    if case.failure is not None:
        yield f"replayed.failure == {literal(case.failure, indent=4)}"
    if case.data is not None and case.next_state is not None:
        yield f"replayed.data == {'BEFORE' if case.after == case.data else 'AFTER'}"


def literal(value: Any, *, indent: int = 0) -> str:
    """A plain value as Python writes it, over several lines where it is long.

    Args:
        value: the value.
        indent: how far the line is indented that it begins in.

    >>> print(literal({"item": "tea", "notes": ["it's", 3, None]}))
    {"item": "tea", "notes": ["it's", 3, None]}
    """
    short = _short(value)
    if len(short) + indent <= WIDTH - 10 or not isinstance(value, Mapping | list | tuple) or not value:
        return short
    pad = " " * (indent + 4)
    if isinstance(value, Mapping):
        items = [f"{_short(key)}: {literal(one, indent=indent + 4)}" for key, one in value.items()]
    else:
        items = [literal(one, indent=indent + 4) for one in value]
    opening, closing = _brackets(value)
    return "\n".join([opening, *(f"{pad}{item}," for item in items), " " * indent + closing])


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_short(key)}: {_short(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        opening, closing = _brackets(value)
        items = ", ".join(map(_short, value))
        return f"{opening}{items}{',' if isinstance(value, tuple) and len(value) == 1 else ''}{closing}"
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and text[0] == "'" and '"' not in text else text


def _brackets(value: Mapping[Any, Any] | Sequence[Any]) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return "{", "}"
    return ("(", ")") if isinstance(value, tuple) else ("[", "]")


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower() or "run"


def _in_text(text: str) -> str:
    """A text within a docstring."""
    return repr(text)[1:-1].replace('"', "'")
