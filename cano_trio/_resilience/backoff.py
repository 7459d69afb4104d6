"""Delays that grow: how they grow, how far, and how they are spread."""

from __future__ import annotations

import random
from typing import Protocol, final

import attrs

from .bounds import finite

# One source for all policies, so that a test seeds one object (or hands it to `hypothesis.register_random`).
jitter_source = random.Random()

SHORTEST = 0.001  # seconds: what jitter leaves at least, when there was something to wait for (RET-4)
LARGEST_EXPONENT = 2**53  # beyond, an int may not fit a float; any growth worth the name has met `maximum` long before


class Growing(Protocol):
    """What delays are computed from."""

    @property
    def base(self) -> float:
        """Seconds of the first delay."""
        ...

    @property
    def multiplier(self) -> float:
        """By what each is longer than the one before."""
        ...

    @property
    def maximum(self) -> float:
        """Seconds that none exceeds."""
        ...

    @property
    def jitter(self) -> float:
        """The share by which each is made longer or shorter at random."""
        ...


def grown(policy: Growing, turn: int) -> float:
    """The delay of a turn, counted from 1, in seconds: grown, capped, spread, and capped again."""
    if policy.base <= 0 or policy.multiplier == policy.jitter + 1 == 1:
        return policy.base
    try:
        # As a float: 2 ** 1_000_000 is a number of a million bits.
        long = policy.base * float(policy.multiplier) ** min(turn - 1, LARGEST_EXPONENT)
    except OverflowError:  # a float raises where it can't hold the power: min() would come too late
        long = policy.maximum
    capped = min(long, policy.maximum)
    spread = capped * (1 + policy.jitter * jitter_source.uniform(-1, 1)) if policy.jitter else capped
    return min(max(spread, min(policy.base, SHORTEST)), policy.maximum)


def check_maximum(policy: Growing) -> None:
    """Refuse a maximum below the base."""
    if policy.maximum < policy.base:
        raise ValueError(
            f"{type(policy).__name__}: maximum={policy.maximum!r} is below base={policy.base!r}. "
            f"Pass a maximum of {policy.base:g} s or more, or a smaller base."
        )


@final
@attrs.frozen(kw_only=True)
class Backoff:
    """Delays that grow with each turn: how a `PollTask` waits between two looks.

    Args:
        base: seconds of the first delay; 0 does not wait, but lets others run.
        multiplier: by what each delay is longer than the one before.
        maximum: seconds that none exceeds.
        jitter: the share, 0 to 1, by which each is made longer or shorter at random.

    Raises:
        ValueError: a number is out of its bounds.

    >>> from cano_trio import Backoff
    >>> backoff = Backoff(base=1, maximum=5, jitter=0)
    >>> [backoff.delay(turn) for turn in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5]
    """

    base: float = attrs.field(default=0.1, validator=finite(0))
    multiplier: float = attrs.field(default=2.0, validator=finite(above=0))
    maximum: float = attrs.field(default=30.0, validator=finite(0))
    jitter: float = attrs.field(default=0.1, validator=finite(0, most=1))

    def __attrs_post_init__(self) -> None:
        check_maximum(self)

    def delay(self, turn: int) -> float:
        """Seconds to wait after a turn.

        Args:
            turn: its number, from 1.

        Raises:
            ValueError: `turn` is below 1.
        """
        if turn < 1:
            raise ValueError(f"Backoff.delay: turn={turn!r} won't do. Turns are counted from 1.")
        return grown(self, turn)
