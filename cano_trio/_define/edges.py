"""Where a task may lead, read from its return annotation: the only source of edges besides `on_error`."""

from __future__ import annotations

import functools
import operator
import types
from enum import Enum, Flag
from typing import Annotated, Any, Generic, Literal, TypeGuard, TypeVar, Union, final, get_args, get_origin

from msgspec import Struct, field

S = TypeVar("S", bound=Enum)


def is_state(value: object, states: type[S]) -> TypeGuard[S]:
    """Whether a value is one of the states; a Flag's combination of several members, or of none, is not one.

    >>> from enum import Flag
    >>> Step = Flag("Step", "A B")
    >>> is_state(Step.A, Step), is_state(Step.A | Step.B, Step), is_state(Step(0), Step)
    (True, False, False)
    """
    return isinstance(value, states) and (not isinstance(value, Flag) or [*value] == [value])


def written(state: Enum) -> str:
    """A state as a user writes it: the text of an `IntEnum` or `StrEnum` member would be its value.

    >>> from enum import IntEnum
    >>> written(IntEnum("Step", "A B").A)
    'Step.A'
    """
    name = state.name
    if name not in type(state).__members__:  # a Flag's combination
        return repr(state)
    return f"{type(state).__name__}.{name}" if name.isidentifier() else f"{type(state).__name__}[{name!r}]"


@final
class Returns(Struct, Generic[S]):
    """What a return annotation says.

    Args:
        targets: the states it names, each with its label.
        anywhere: it names the Enum itself: the task may go to any state.
        rest: its other members, such as ``Pending``, ``More[Cursor]`` or ``None``.
    """

    targets: dict[S, str | None] = field(default_factory=dict[S, "str | None"])
    anywhere: bool = False
    rest: list[Any] = field(default_factory=list[Any])


def read_returns(hint: Any, states: type[S], *, receipt: bool = False) -> Returns[S]:
    """Take a resolved return annotation apart; with `receipt`, a state may come in a pair with one.

    >>> from enum import Enum
    >>> Step = Enum("Step", "A B")
    >>> read_returns(Annotated[Literal[Step.A], "in stock"] | Literal[Step.B] | None, Step)
    Returns(targets={<Step.A: 1>: 'in stock', <Step.B: 2>: None}, anywhere=False, rest=[<class 'NoneType'>])
    """
    found: Returns[S] = Returns()
    _read(hint, states, None, found, receipt=receipt)
    return found


def _read(hint: Any, states: type[S], label: str | None, found: Returns[S], *, receipt: bool) -> None:
    if hasattr(hint, "__value__"):  # a `type` alias (PEP 695)
        return _read(hint.__value__, states, label, found, receipt=receipt)
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *extra = get_args(hint)
        label = next((text for text in extra if isinstance(text, str)), label)
        return _read(inner, states, label, found, receipt=receipt)
    if origin is Literal:
        for value in get_args(hint):
            if is_state(value, states):
                found.targets[value] = label
            else:
                found.rest.append(value)
        return None
    if origin in {Union, types.UnionType}:
        for part in get_args(hint):
            _read(part, states, label, found, receipt=receipt)
        return None
    if receipt and origin is tuple and len(get_args(hint)) == 2:
        return _read(get_args(hint)[0], states, label, found, receipt=False)
    if hint is states:
        found.anywhere = True
    else:
        found.rest.append(hint)
    return None


def members(hint: Any) -> list[Any]:
    """The members of a union, aliases and annotations taken off; of anything else, itself."""
    if hasattr(hint, "__value__"):
        return members(hint.__value__)
    origin = get_origin(hint)
    if origin is Annotated:
        return members(get_args(hint)[0])
    if origin in {Union, types.UnionType}:
        return [member for part in get_args(hint) for member in members(part)]
    return [hint]


def paired_type(returns: Any) -> Any:
    """The type of what a return annotation pairs with receipts, or may be returned alone.

    >>> paired_type(tuple[int, str] | None)
    int | None
    """
    given = [get_args(hint)[0] if get_origin(hint) is tuple and get_args(hint) else hint for hint in members(returns)]
    return functools.reduce(operator.or_, given)


def receipt_type(returns: Any) -> Any:
    """The type of the receipts that a return annotation pairs with states; None if it names none.

    >>> receipt_type(tuple[Literal["A"], int] | tuple[Literal["B"], str] | Literal["C"])
    int | str
    """
    receipts = [
        get_args(hint)[1] for hint in members(returns) if get_origin(hint) is tuple and len(get_args(hint)) == 2
    ]
    return functools.reduce(operator.or_, dict.fromkeys(receipts)) if receipts else None
