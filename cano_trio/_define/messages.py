"""Which messages a state takes, as the annotations of its functions name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Never, get_args, get_origin

from .compatible import bare, has_instances
from .context import RunContext
from .edges import members
from .method import UNKNOWN, Method, Parameter, Want


def received(parameter: Parameter) -> tuple[Any, ...]:
    """What a parameter's annotation says that its context receives.

    >>> from cano_trio._define.method import Parameter, Want
    >>> received(Parameter(name="ctx", want=Want.CONTEXT, hint=RunContext[int | str]))
    (<class 'int'>, <class 'str'>)
    """
    if parameter.want is not Want.CONTEXT or parameter.hint is RunContext:
        return ()
    contexts = (hint for hint in members(parameter.hint) if get_origin(hint) is RunContext)
    named = (hint for context in contexts for part in get_args(context) for hint in members(part))
    return tuple(hint for hint in map(bare, named) if hint is not Never)


def messages(methods: Mapping[str, Method]) -> Iterator[tuple[Method, type]]:
    """The classes of all messages that a state's functions take, each with its function."""
    for name, method in methods.items():
        hints = [bare(hint) for own in method.own for hint in members(own)] if name == "on_message" else []
        for hint in (*hints, *(hint for parameter in method.parameters for hint in received(parameter))):
            if has_instances(hint) and hint is not UNKNOWN:
                yield method, hint


def message_types(methods: Mapping[str, Method]) -> tuple[type, ...]:
    """The classes of the messages that a state takes, each once."""
    return tuple(dict.fromkeys(type_ for _, type_ in messages(methods)))
