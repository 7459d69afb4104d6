"""What `cano_trio.testing` exports, and what importing it brings in."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import cano_trio.testing


def test_all_is_sorted() -> None:
    """`__all__` lists every name once, and sorted."""
    assert cano_trio.testing.__all__ == sorted(set(cano_trio.testing.__all__))


@pytest.mark.parametrize("name", cano_trio.testing.__all__)
def test_everything_public_is_documented_under_its_public_name(name: str) -> None:
    """Every class and function says what it is, and that it lives in `cano_trio.testing`."""
    thing = getattr(cano_trio.testing, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing)
        assert thing.__module__ == "cano_trio.testing"


def test_it_needs_no_test_tool() -> None:
    """The package itself does not import it, and it works where neither pytest nor hypothesis is installed."""
    code = (
        "import sys, cano_trio, cano_trio.journals; print('cano_trio.testing' in sys.modules);"
        "sys.modules.update(pytest=None, hypothesis=None); import cano_trio.testing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
