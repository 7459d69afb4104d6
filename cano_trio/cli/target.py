"""Finding the workflow that ``module:workflow`` or ``file.py:workflow`` names."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import pkgutil
import sys
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, cast, final

import attrs

from .._define.schedule import Schedule
from .._errors import DefinitionError
from .._runtime.workflow import Workflow
from .refusal import Refused, did_you_mean, no_file
from .wording import one_line, place, user_frame


@final
class BrokenTarget(Exception):
    """The target's own code failed while it was loaded; ``__cause__`` is how.

    Args:
        target: its file or module.
        error: what it failed with.
        hint: how to mend it, in a sentence; may be empty.
    """

    def __init__(self, target: str, error: BaseException, hint: str = "") -> None:
        super().__init__(f"can't load {target}: {_told(error)}{hint and f'. {hint}'}")


def find_workflow(target: str) -> Workflow[Any, Any]:
    """The workflow of a target. What its module prints goes to stderr: stdout is for what was asked for.

    Raises:
        Refused: there is no such file, module or attribute, it is no `Workflow`, or there are several.
        BrokenTarget: its own code fails.
    """
    where, attribute = _split(target)
    with redirect_stdout(sys.stderr):
        module = _loaded(where)
        return _named(module, where, attribute) if attribute else _only(module, where)


@final
@attrs.frozen
class Served:
    """What there is to be served of a target.

    Args:
        workflows: the workflows whose runs are carried out.
        schedules: when some of them run by themselves.
    """

    workflows: tuple[Workflow[Any, Any], ...]
    schedules: tuple[Schedule[Any], ...]


def find_served(target: str) -> Served:
    """All workflows of a target, and its ``schedules``; where it names a workflow, that one and the schedules for it.

    Raises:
        Refused: as `find_workflow`, but for several workflows; or what it calls its schedules are none.
        BrokenTarget: its own code fails.
    """
    where, attribute = _split(target)
    with redirect_stdout(sys.stderr):
        module = _loaded(where)
    schedules = _schedules(module, where)
    if attribute:
        workflow = _named(module, where, attribute)
        return Served((workflow,), tuple(one for one in schedules if one.workflow is workflow))
    workflows = tuple(_workflows(module).values())
    if not workflows:
        raise _has_none(where)
    return Served(workflows, schedules)


def home_of(target: str, workflow: Workflow[Any, Any]) -> tuple[ModuleType, str]:
    """The module of a target that was found, and what the workflow is called there.

    Args:
        target: the target.
        workflow: what `find_workflow` has found of it.
    """
    where, attribute = _split(target)
    module = _of_file(Path(where).resolve()) if _is_file(where) else sys.modules[where]
    return module, attribute or next(name for name, value in vars(module).items() if value is workflow)


def _of_file(path: Path) -> ModuleType:
    """The module that was made of a file; the last one, if it was loaded several times."""
    return next(one for one in reversed(list(sys.modules.values())) if getattr(one, "__file__", None) == str(path))


def states_of(workflow: Workflow[Any, Any]) -> list[Enum]:
    """All states of a workflow, without aliases."""
    return list(cast("type[Enum]", workflow.states))


def _split(target: str) -> tuple[str, str]:
    """The file or module, and the attribute; the colon of a Windows drive is none of ours."""
    where, colon, attribute = target.rpartition(":")
    return (where, attribute) if colon and not _is_file(attribute) else (target, "")


def _loaded(where: str) -> ModuleType:
    return _load_file(Path(where)) if _is_file(where) else _load_module(where)


def _is_file(where: str) -> bool:
    return where.endswith(".py") or "/" in where or "\\" in where or where in {".", ".."}


def _importable_from(directory: Path) -> None:
    """Put a directory first on the path, as Python does for a script, and leave it there: tasks may import late."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise no_file(path, "*.py")
    path = path.resolve()
    _importable_from(path.parent)
    # A file may be called as something that is loaded already, such as trio.py, which must stay what it is.
    name = path.stem if path.stem not in sys.modules else f"_cano_trio_target_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickles look themselves up there
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BrokenTarget(path.name, error, _as_module(path) if _misses_package(error) else "") from error
    return module


def _misses_package(error: BaseException) -> bool:
    """The file imports relatively, which only a part of a package can, and was loaded by itself."""
    return isinstance(error, ImportError) and "no known parent package" in str(error)


def _as_module(path: Path) -> str:
    """How to name a file as a part of its package."""
    root = path.parent.parent  # a directory is a package even without an __init__.py
    while (root / "__init__.py").is_file():
        root = root.parent
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    elsewhere = "" if root == Path.cwd() else f"in {root} "
    return f"It is a part of a package: call it {elsewhere}as {name}"


def _load_module(name: str) -> ModuleType:
    _importable_from(Path.cwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if _is_missing(name, error):
            raise _no_module(name) from None
        raise BrokenTarget(name, error) from error


def _is_missing(name: str, error: BaseException) -> bool:
    """The module itself is not there, rather than one that it imports."""
    if isinstance(error, ModuleNotFoundError):
        return error.name is not None and f"{name}.".startswith(f"{error.name}.")
    return not name or name.startswith(".")  # importlib refuses these with a TypeError or a ValueError


def _no_module(name: str) -> Refused:
    package = name.rpartition(".")[0]
    inside = getattr(sys.modules.get(package), "__path__", None)
    modules = [found.name for found in pkgutil.iter_modules(inside or [str(Path.cwd())])]
    known = [f"{package}.{module}" for module in modules] if inside else [*modules, *(f"{one}.py" for one in modules)]
    return Refused(f"there is no module {name!r}{did_you_mean(name, known)}")


def _workflows(module: ModuleType) -> dict[str, Workflow[Any, Any]]:
    """The workflows at module level, each by its first name."""
    found: dict[str, Workflow[Any, Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Workflow) and all(value is not known for known in found.values()):
            found[name] = value
    return found


def _only(module: ModuleType, where: str) -> Workflow[Any, Any]:
    found = _workflows(module)
    if not found:
        raise _has_none(where)
    if len(found) > 1:
        raise Refused(f"{where} has several workflows. Say which: {' or '.join(f'{where}:{name}' for name in found)}")
    return next(iter(found.values()))


def _has_none(where: str) -> Refused:
    return Refused(f"{where} has no Workflow at module level")


def _schedules(module: ModuleType, where: str) -> tuple[Schedule[Any], ...]:
    """What the module calls its schedules."""
    found = getattr(module, "schedules", ())
    if not isinstance(found, list | tuple) or not all(isinstance(one, Schedule) for one in found):
        raise Refused(f"{where}: schedules is no list of Schedule, but {found!r}")
    return tuple(found)


def _named(module: ModuleType, where: str, attribute: str) -> Workflow[Any, Any]:
    value: Any = module
    for name in attribute.split("."):
        if not hasattr(value, name):
            raise Refused(f"{where} has no {attribute!r}{_instead(module, attribute)}")
        value = getattr(value, name)
    if not isinstance(value, Workflow):
        kind = type(value).__name__
        raise Refused(f"{where}:{attribute} is no Workflow but a {kind}{_instead(module, attribute)}")
    return value


def _instead(module: ModuleType, attribute: str) -> str:
    return did_you_mean(attribute, _workflows(module), "Its workflows are")


def _told(error: BaseException) -> str:
    """What failed, and the line of the user's code where it did."""
    if isinstance(error, DefinitionError):  # tells its line itself
        return one_line(error)
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({place(error.filename, error.lineno or 0)}: {(error.text or '').strip()})"
    frame = user_frame(error)
    return one_line(error) + (f" ({place(frame.filename, frame.lineno or 0)}: {frame.line})" if frame else "")
