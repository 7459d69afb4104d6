"""The examples in docstrings and README are true."""

from __future__ import annotations
import __future__

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import cano_trio

README = Path(__file__).parents[1] / "README.md"
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | __future__.annotations.compiler_flag


def modules() -> Iterator[str]:
    """All modules of the package but the one that runs the command."""
    yield "cano_trio"
    for module in pkgutil.walk_packages(cano_trio.__path__, "cano_trio."):
        if module.name != "cano_trio.__main__":
            yield module.name


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        module = importlib.import_module(name)
        yield from (test for test in finder.find(module, name) if test.examples)
    yield doctest.DocTestParser().get_doctest(README.read_text(), {}, "README", str(README), 0)


def execute(source: str, names: dict[str, Any], label: str) -> str:
    """Run one example and return what it printed, or the last line of its traceback."""
    printed = io.StringIO()
    code = compile(source, f"<doctest {label}>", "single", FLAGS, dont_inherit=True)
    try:
        with contextlib.redirect_stdout(printed):
            pending = eval(code, names)
            if code.co_flags & inspect.CO_COROUTINE:

                async def main() -> None:
                    await pending

                trio.run(main, clock=MockClock(autojump_threshold=0))
    except Exception as error:
        return "".join(traceback.format_exception_only(error))
    return printed.getvalue()


@pytest.mark.parametrize("example", [pytest.param(test, id=test.name) for test in examples()])
def test_example(example: doctest.DocTest) -> None:
    """What an example prints is what stands below it."""
    names = dict(example.globs)
    check = doctest.OutputChecker().check_output
    for line in example.examples:
        label = f"{example.name}[{line.lineno}]"
        got, want = execute(line.source, names, label), line.exc_msg or line.want
        assert check(want, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), f"{label}\n{line.source}\n{got}"


def test_readme_shows_the_example_as_it_is() -> None:
    """The README's first example is, line for line, that of `examples/order.py`."""
    readme = README.read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    program = (README.parent / "examples" / "order.py").read_text()
    assert [line for line in shown.splitlines() if line.strip() not in program] == []
