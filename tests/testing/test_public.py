"""What `cano_trio.testing` exports, and what it asks for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from cano_trio import testing


def test_all_is_complete_and_sorted() -> None:
    """`__all__` lists every public name, once and sorted, and nothing else."""
    names = {name for name, value in vars(testing).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert testing.__all__ == sorted(names)


@pytest.mark.parametrize("name", testing.__all__)
def test_everything_public_is_documented_under_its_public_name(name: str) -> None:
    """Every class and function has a docstring, its methods too, and says that it lives in `cano_trio.testing`."""
    thing = getattr(testing, name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return
    assert inspect.getdoc(thing)
    assert thing.__module__ == "cano_trio.testing"
    for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property | classmethod)):
            assert inspect.getdoc(getattr(thing, attribute)), f"{name}.{attribute}"


def test_it_needs_neither_pytest_nor_hypothesis() -> None:
    """Where they are not installed it is imported all the same, and it imports them nowhere."""
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None; import cano_trio.testing\n"
        "print(sorted({'click', 'rich', '_pytest', 'pytest_trio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_itself_does_not_import_it() -> None:
    """Who runs workflows does not pay for how they are tested."""
    code = (
        "import sys, cano_trio.journals; print([name for name in sys.modules if name.startswith('cano_trio.testing')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
