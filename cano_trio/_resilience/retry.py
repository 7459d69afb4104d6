"""How often and how patiently a failed attempt is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import final

import attrs

from .backoff import check_maximum, grown
from .backoff import jitter_source as jitter_source
from .bounds import finite, whole


@final
@attrs.frozen(kw_only=True)
class Retry:
    """How often and how patiently a failed attempt is tried again.

    The delay before retry k (from 1) is ``base * multiplier ** (k - 1)``, capped at `maximum`, spread by `jitter`, and
    capped again: `maximum` is never exceeded (cano RET-3 spreads after its cap; G-RET-4).

    An error that says itself how long to wait, by a ``retry_after`` in seconds (0 or more, finite), is taken at its word:
    that is the delay then, without jitter, even beyond `maximum`. A server knows best when it will answer again.

    Args:
        retries: how many retries follow the first attempt; 3 retries are 4 attempts at most.
        base: seconds before the first retry; 0 retries at once.
        multiplier: by what the delay grows with each retry.
        maximum: seconds that no delay of the policy's own exceeds.
        jitter: the share, 0 to 1, by which a delay is made longer or shorter at random, so that those who failed
            together do not come back together.

    Raises:
        ValueError: a number is out of its bounds. Nothing is mended silently (cano RET-4 does).

    >>> from cano_trio import Retry
    >>> [round(delay, 2) for delay in Retry(retries=3, jitter=0.0).delays()]
    [0.1, 0.2, 0.4]
    >>> list(Retry.fixed(2, delay=0.5).delays())
    [0.5, 0.5]
    """

    retries: int = attrs.field(default=3, validator=whole(0))
    base: float = attrs.field(default=0.1, validator=finite(0))
    multiplier: float = attrs.field(default=2.0, validator=finite(above=0))
    maximum: float = attrs.field(default=30.0, validator=finite(0))
    jitter: float = attrs.field(default=0.1, validator=finite(0, most=1))

    def __attrs_post_init__(self) -> None:
        check_maximum(self)

    @classmethod
    def none(cls) -> Retry:
        """One attempt and no more.

        >>> from cano_trio import Retry
        >>> Retry.none().delay(1) is None
        True
        """
        return cls(retries=0)

    @classmethod
    def fixed(cls, retries: int, *, delay: float) -> Retry:
        """The same delay before every retry, without jitter.

        Args:
            retries: how many retries follow the first attempt.
            delay: seconds before each.

        >>> from cano_trio import Retry
        >>> Retry.fixed(2, delay=5).delay(1)
        5
        """
        return cls(retries=retries, base=delay, multiplier=1.0, maximum=delay, jitter=0.0)

    @classmethod
    def exponential(
        cls, retries: int, *, base: float = 0.1, multiplier: float = 2.0, maximum: float = 30.0, jitter: float = 0.1
    ) -> Retry:
        """Delays that grow by `multiplier`; arguments as the class's.

        >>> from cano_trio import Retry
        >>> list(Retry.exponential(3, base=0.1, multiplier=10, maximum=0.5, jitter=0).delays())
        [0.1, 0.5, 0.5]
        """
        return cls(retries=retries, base=base, multiplier=multiplier, maximum=maximum, jitter=jitter)

    def delay(self, attempt: int) -> float | None:
        """Seconds between the failure of an attempt and the next attempt, or None if there is no next.

        Args:
            attempt: the number of the attempt that failed, from 1.

        Raises:
            ValueError: `attempt` is below 1.

        >>> from cano_trio import Retry
        >>> retry = Retry(retries=1, base=2, jitter=0)
        >>> retry.delay(1), retry.delay(2)
        (2.0, None)
        """
        if attempt < 1:
            raise ValueError(f"Retry.delay: attempt={attempt!r} won't do. Attempts are counted from 1.")
        return None if attempt > self.retries else grown(self, attempt)

    def delays(self) -> Iterator[float]:
        """The delays before each retry in turn, in seconds; jitter is drawn as they are asked for."""
        return map(partial(grown, self), range(1, self.retries + 1))
