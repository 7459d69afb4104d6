"""What a processing model is: its methods, what each is given, and what each may return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

from msgspec import Struct, field

from .method import Method

MODEL_OPTIONS = frozenset(
    {"name", "config", "retry", "attempt_timeout", "retry_on", "breaker", "limiter", "on_open", "on_error"}
)
"""The options that almost every model has."""


@final
class MethodRule(Struct, frozen=True, kw_only=True):
    """One method of a model.

    Args:
        name: its name in the class form.
        takes: what the model itself gives it, first and by position.
        names_state: its return annotation draws the state's edges.
        required: a task without it is incomplete.
        writes: it may change the run's data.
        also: what it may return besides a state, as classes.
        needed_with: the knob that calls for it: with a value there it is required, and without one it is never called.
        needed_for: the value that it must be, if not any will do.
        by_class: `isinstance` tells which values are given to it, so that its own arguments are annotated with classes.
        label: what stands at its edges in a drawing, where its annotation says nothing.
        receipt: it may return a pair of a state and a receipt.
        undoes: it undoes work: the run takes no messages meanwhile.
        source: it gives a source, and may be an async generator, or what a decorator has made of one.
    """

    name: str
    takes: tuple[str, ...] = ()
    names_state: bool = False
    required: bool = True
    writes: bool = False
    also: tuple[type, ...] = ()
    needed_with: str = ""
    needed_for: Any = None
    by_class: bool = False
    label: str = ""
    receipt: bool = False
    undoes: bool = False
    source: bool = False

    @property
    def receives(self) -> bool:
        """Its context may receive messages: they are used up together with what it writes."""
        return self.writes and not self.undoes


@final
class Model(Struct, frozen=True, kw_only=True):
    """A way of processing a state, such as a task, a router or a batch.

    Args:
        name: the decorator's name.
        methods: the first is the one that the decorator of the function form takes.
        knobs: options of its own, each with its default and with what checks a value (raising ValueError).
        retries: whether a failed attempt is retried by default (cano RET-2).
        options: what it may be told besides its knobs.
        generics: what the class form's generics after the state stand for, in order.
        check: compares the annotations of the methods with each other; yields what disagrees.
        plain: plain functions that it may be given, with injected parameters, and what the model gives them first.
        kept: what the model itself has to write down, such as a cursor: whose it is, its name, and its type.
        recorded: the same of what only a journal writes down, as its knobs say.
        unrecorded: how its user may do without that.
    """

    name: str
    methods: tuple[MethodRule, ...]
    knobs: Mapping[str, tuple[Any, Callable[[str, Any], None]]] = field(default_factory=dict[str, Any])
    retries: bool = True
    options: frozenset[str] = MODEL_OPTIONS
    plain: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    generics: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Method], Mapping[str, Any]], Iterator[tuple[Method, str]]] | None = None
    kept: Callable[[Mapping[str, Method]], Iterator[tuple[Method, str, Any]]] | None = None
    recorded: Callable[[Mapping[str, Method], Mapping[str, Any]], Iterator[tuple[Method, str, Any]]] | None = None
    unrecorded: str = ""
