"""What the package exports, and in what state."""

from __future__ import annotations

import inspect
import subprocess
import sys
from abc import ABC
from enum import Enum
from typing import Any, Protocol

import pytest
from typing_extensions import is_typeddict

import cano_trio

CLASSES = [name for name in cano_trio.__all__ if inspect.isclass(getattr(cano_trio, name))]


def test_all_is_complete_and_sorted() -> None:
    """`__all__` lists every public name, once and sorted, and nothing else."""
    public = sorted(
        name for name in vars(cano_trio) if not name.startswith("_") and not inspect.ismodule(vars(cano_trio)[name])
    )
    assert cano_trio.__all__ == public


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_final_or_meant_to_be_derived(name: str) -> None:
    """Every public class is final, or is there to be derived from."""
    cls: Any = getattr(cano_trio, name)
    derived = {"Event", "Question", "Resource"}
    abstract = inspect.isabstract(cls) or ABC in cls.__bases__ or issubclass(cls, Enum) or Protocol in cls.__mro__
    base_error = issubclass(cls, Exception) and any(
        sub.__module__.startswith("cano_trio") for sub in cls.__subclasses__()
    )
    assert (
        getattr(cls, "__final__", False)
        or abstract
        or base_error
        or name in derived
        or is_typeddict(cls)
        or issubclass(cls, cano_trio.Event)
    )


@pytest.mark.parametrize("name", cano_trio.__all__)
def test_everything_public_is_documented_under_its_public_name(name: str) -> None:
    """Every public name has a docstring, and says that it lives in `cano_trio`."""
    thing = getattr(cano_trio, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing)
        assert thing.__module__ == "cano_trio"


@pytest.mark.parametrize("name", CLASSES)
def test_public_methods_are_documented(name: str) -> None:
    """Every public method and property of a public class has a docstring of its own or of its base."""
    for attribute, value in vars(getattr(cano_trio, name)).items():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, (property, classmethod))):
            assert inspect.getdoc(getattr(getattr(cano_trio, name), attribute)), f"{name}.{attribute}"


def test_import_brings_in_no_extra() -> None:
    """Importing the package imports neither an extra nor a test tool."""
    code = "import sys, cano_trio; print(sorted({'click', 'rich', 'pytest', 'hypothesis', 'apsw', 'trio_util'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_import_loads_no_runtime_and_lists_it_all_the_same() -> None:
    """Whoever runs single workflows does not pay for the runtime: it comes when asked for, under its public name."""
    code = """if True:
    import sys, cano_trio
    print('cano_trio._runtime.runtime' in sys.modules, set(cano_trio.__all__) <= set(dir(cano_trio)))
    from cano_trio import open_runtime
    print(open_runtime.__module__, cano_trio.Cron.__module__, hasattr(cano_trio, 'Nothing'))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\ncano_trio cano_trio False\n"
