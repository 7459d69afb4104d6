"""The data that a run begins with, from ``--data``."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from .._journal.codec import JsonCodec
from .._journal.defaults import completed
from .._runtime.workflow import Workflow
from .refusal import Refused, did_you_mean, no_file
from .wording import one_line


def read_data(workflow: Workflow[Any, Any], given: str | None) -> Any:
    """The data for a run: what ``--data`` says, or what the type makes of no arguments.

    Raises:
        Refused: it does not fit the workflow's type.
    """
    type_ = workflow.data
    if type_ is None:
        if given is not None:
            raise Refused(f"workflow {workflow.name!r} takes no data: leave --data out")
        return None
    if given is None:
        return _made_of_nothing(type_)
    text = source_of(given)
    if not text.strip():
        option = f"--data {given}".rstrip()
        raise Refused(f"{option} is empty: pass JSON, @FILE, or - for stdin; or leave --data out")
    is_file = os.path.isfile(given)  # noqa: PTH113  (never raises)
    return decoded(type_, text, "--data", hint=f". Did you mean --data @{given}?" if is_file else "")


def source_of(given: str) -> bytes:
    """What an argument says, or the file that it names by ``@FILE``, or stdin by ``-``."""
    if given == "-":
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode()
    path = Path(given[1:])
    if not path.is_file():
        raise no_file(path)
    return path.read_bytes()


def decoded(type_: Any, text: bytes, what: str, *, hint: str = "") -> Any:
    """JSON as a value of a type.

    Args:
        type_: the type.
        text: the JSON.
        what: what errors call it.
        hint: what they say behind it, if it is no JSON at all.

    Raises:
        Refused: it is none; the field that does not fit is named.
    """
    try:
        _check_names(type_, msgspec.json.decode(text), what)
        return completed(JsonCodec(type_).unpack(text))
    except Refused:
        raise
    except msgspec.ValidationError as error:
        raise Refused(f"{what} is no {type_.__name__}: {error}") from error
    except msgspec.DecodeError as error:
        raise Refused(f"{what}: {error}{hint}") from error
    except Exception as error:
        raise Refused(f"{what} makes no {type_.__name__}: {one_line(error)}") from error


def _check_names(type_: Any, raw: object, what: str) -> None:
    """Refuse fields that the type has not: msgspec passes over them, and with them over a slip of the pen."""
    fields = _fields(type_)
    if not fields or not isinstance(raw, dict):
        return
    known = {field.encode_name for field in fields} | {getattr(msgspec.inspect.type_info(type_), "tag_field", None)}
    for name in raw:
        if name not in known:
            names = [field.encode_name for field in fields]
            raise Refused(
                f"{what}: {type_.__name__} has no field {name!r}{did_you_mean(name, names, 'Its fields are')}"
            )


def _made_of_nothing(type_: Any) -> Any:
    if needed := _needed(type_):
        shape = ", ".join(f'"{name}": …' for name in needed)
        raise Refused(f"{type_.__name__} needs {', '.join(needed)}: pass --data '{{{shape}}}'")
    try:
        return completed(type_())
    except Exception as error:
        raise Refused(f"{type_.__name__}() fails without --data: {one_line(error)}") from error


def _needed(type_: Any) -> list[str]:
    """The fields without a default, as JSON calls them; none if it can be made without arguments."""
    try:
        signature = inspect.signature(type_)
    except ValueError:  # a type in C, such as dict
        return []
    try:
        signature.bind()
    except TypeError:
        named = [field.encode_name for field in _fields(type_) if field.required]
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = signature.parameters.values()
        return named or [one.name for one in parameters if one.default is one.empty and one.kind not in kinds]
    return []


def _fields(type_: Any) -> list[Any]:
    """The fields of a type as msgspec sees them; none for what has no fixed ones, or that JSON can't hold."""
    try:
        return list(getattr(msgspec.inspect.type_info(type_), "fields", ()))
    except (TypeError, ValueError, NameError):
        return []
