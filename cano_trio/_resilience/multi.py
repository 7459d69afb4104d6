"""Several budgets at once: so many a second, so many a day, and all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple, cast, final

import attrs
import msgspec
import trio

from .._errors import RateLimited
from .bounds import finite
from .limiter import LimiterStatistics
from .line import Line
from .meter import SHORTEST, Meter
from .reservation import Reservation


@final
@attrs.frozen
class Tier:
    """One budget of a `MultiRateLimiter`.

    Args:
        name: what errors call it, and what ``only=`` names.
        limiter: where its cost is taken from; several tiers may share one, and each takes its own cost (RAT-11).
        cost: what each call takes; 0 takes nothing.

    Raises:
        ValueError: the cost is negative, no number, or more than the limiter ever holds.

    >>> from cano_trio import RateLimiter, Tier
    >>> Tier("minute", RateLimiter(60, per=60), cost=2).cost
    2
    """

    name: str
    limiter: Meter
    cost: float = attrs.field(default=1, validator=finite(0))

    def __attrs_post_init__(self) -> None:
        if self.cost > self.limiter.capacity:
            raise ValueError(
                f"tier {self.name!r}: cost={self.cost!r} can never pass, {self.limiter!r} holds {self.limiter.capacity:g}. "
                "Lower the cost, or make the limiter larger."
            )


@final
class MultiStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A `MultiRateLimiter` at one moment; what is counted, is counted since it was made (RAT-14).

    Args:
        tiers: each tier's limiter.
        throttled: by tier, how many calls it refused or made wait.
        waiting: tasks in line.
        acquired: calls let through.
        waited: calls that had to wait before they were let through.
        seconds_waited: how long, all together.
        rejected: calls refused by a method that does not wait.
    """

    tiers: Mapping[str, LimiterStatistics]
    throttled: Mapping[str, int]
    waiting: int
    acquired: int
    waited: int
    seconds_waited: float
    rejected: int


class Charge(NamedTuple):
    """What one call asks of one tier: `so_far` with what the tiers before it take from the same limiter."""

    tier: str
    limiter: Meter
    so_far: float


@final
class MultiRateLimiter:
    """Lets a call through when every tier has room for it, and then takes from all; else takes from none (RAT-10).

    Those who wait for a tier are served in the order in which they came, whatever else each of them needs. Who needs
    several stands in line for one after the other, and takes from none before he is at the front of all.

    Args:
        tiers: limiters by name, each charged 1 a call; or `Tier` objects, which may cost more. Earlier ones are asked
            first, and the first that refuses is the one named.
        name: what events call it.

    Raises:
        ValueError: two tiers have one name.

    >>> import trio, trio.testing
    >>> from cano_trio import MultiRateLimiter, RateLimited, RateLimiter, WindowedRateLimiter
    >>> async def main():
    ...     limiter = MultiRateLimiter({"second": RateLimiter(2), "day": WindowedRateLimiter(3, 86_400)})
    ...     for _ in range(3):
    ...         await limiter.acquire()
    ...     print(trio.current_time())
    ...     try:
    ...         limiter.acquire_nowait()
    ...     except RateLimited as refusal:
    ...         print(refusal)
    >>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    0.5
    rate limited by 'second': try again after 0.5 s
    """

    __slots__ = (
        "_acquired", "_all", "_lines", "_rejected", "_seconds_waited", "_throttled", "_tiers", "_waited", "_waiting",
        "name",
    )  # fmt: skip

    def __init__(self, tiers: Mapping[str, Meter] | Iterable[Tier], *, name: str = "limiters") -> None:
        if isinstance(tiers, Mapping):
            tiers = [Tier(tier, limiter) for tier, limiter in cast("Mapping[str, Meter]", tiers).items()]
        listed = list(tiers)
        self.name: str = name
        self._tiers = {tier.name: tier for tier in listed}
        if len(self._tiers) < len(listed):
            names = ", ".join(repr(tier.name) for tier in listed)
            raise ValueError(f"MultiRateLimiter: two tiers have one name among {names}. Give each its own.")
        self._all: list[Charge] | None = None
        # One for each limiter, so that those who need only A do not wait behind those who wait for B.
        self._lines = {tier.limiter: Line() for tier in listed}
        self._throttled = dict.fromkeys(self._tiers, 0)
        self._waiting = self._acquired = self._waited = self._rejected = 0
        self._seconds_waited = 0.0

    def __repr__(self) -> str:
        return f"<MultiRateLimiter {self.name!r} of {', '.join(map(repr, self._tiers)) or 'no tiers'}>"

    def take(self, *, only: Iterable[str] | None = None) -> float:
        """Take every tier's cost and return 0, or take nothing and return the seconds until it may be there; never waits.

        Args:
            only: the names of the tiers to ask; none named, or None, is all.

        Raises:
            ValueError: there is no such tier, or tiers that share a limiter cost more together than it ever holds.
        """
        charges = self._charges(only)
        refusal = self._refusal(charges)
        if refusal is None:
            self._take_from_all(charges)
            return 0.0
        return refusal[1]

    def acquire_nowait(self, *, only: Iterable[str] | None = None) -> None:
        """Take every tier's cost now.

        Args:
            only: as for `take`.

        Raises:
            RateLimited: a tier has too little, or others wait for it; it names the first such tier.
            ValueError: as `take`.
        """
        self.reserve_nowait(only=only).commit()

    async def acquire(self, *, only: Iterable[str] | None = None) -> None:
        """Take every tier's cost as soon as all have it. A checkpoint.

        Args:
            only: as for `take`.

        Raises:
            ValueError: as `take`.
        """
        (await self.reserve(only=only)).commit()

    def reserve_nowait(self, *, only: Iterable[str] | None = None) -> Reservation:
        """As `acquire_nowait`, but what was taken goes back at the end of the block unless it is committed."""
        charges = self._charges(only)
        refusal = self._refusal(charges)
        if refusal is not None:
            charge, wait = refusal
            self._throttled[charge.tier] += 1
            self._rejected += 1
            raise RateLimited(charge.tier, wait)
        return self._take_from_all(charges)

    async def reserve(self, *, only: Iterable[str] | None = None) -> Reservation:
        """As `acquire`, but what was taken goes back at the end of the block unless it is committed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        charges = self._charges(only)
        refusal = self._refusal(charges)
        if refusal is None:
            reservation = self._take_from_all(charges)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return reservation
        self._throttled[refusal[0].tier] += 1
        begun = trio.current_time()
        self._waiting += 1
        try:
            # In the order of the tiers, which is the same for all: nobody can hold what another needs and wait for his.
            async with AsyncExitStack() as fronts:
                for limiter in totals(charges):
                    await fronts.enter_async_context(self._lines[limiter].front())
                reservation = await self._wait_for_all(charges, {refusal[0].tier})
        finally:
            self._waiting -= 1
        self._waited += 1
        self._seconds_waited += trio.current_time() - begun
        return reservation

    def statistics(self) -> MultiStatistics:
        """A frozen picture of this moment."""
        return MultiStatistics(
            tiers=MappingProxyType({tier.name: tier.limiter.statistics() for tier in self._tiers.values()}),
            throttled=MappingProxyType(dict(self._throttled)),
            waiting=self._waiting,
            acquired=self._acquired,
            waited=self._waited,
            seconds_waited=self._seconds_waited,
            rejected=self._rejected,
        )

    async def _wait_for_all(self, charges: list[Charge], counted: set[str]) -> Reservation:
        """Wait in the refusing limiter's own line for its share; with that in hand, ask the others."""
        while (charge := refusing(charges)) is not None:
            if charge.tier not in counted:
                counted.add(charge.tier)
                self._throttled[charge.tier] += 1
            held = await charge.limiter.reserve(totals(charges)[charge.limiter])
            others = [other for other in charges if other.limiter is not charge.limiter]
            if refusing(others) is None:
                return self._take_from_all(others, held)
            held.refund()  # at once, in the same step: to wait for one budget while holding another would waste it
        return self._take_from_all(charges)

    def _take_from_all(self, charges: list[Charge], *held: Reservation) -> Reservation:
        parts = [*held, *(limiter.reserve_nowait(share) for limiter, share in totals(charges).items())]
        self._acquired += 1

        def give_back() -> None:
            for part in parts:
                part.refund()

        return Reservation(give_back)

    def _refusal(self, charges: list[Charge]) -> tuple[Charge, float] | None:
        """The first tier that has too little, or for whose limiter others wait here, and the seconds until it may have it."""
        for charge in charges:
            wait = charge.limiter.available_in(charge.so_far)
            if wait or self._lines[charge.limiter].waiting:
                return charge, max(wait, SHORTEST)
        return None

    def _charges(self, only: Iterable[str] | None) -> list[Charge]:
        wanted = self._named(only)
        if not wanted and self._all is not None:
            return self._all
        charges: list[Charge] = []
        so_far: dict[Meter, float] = {}
        for tier in self._tiers.values():
            if tier.cost and (not wanted or tier.name in wanted):
                total = so_far[tier.limiter] = so_far.get(tier.limiter, 0) + tier.cost
                if total > tier.limiter.capacity:
                    raise ValueError(
                        f"tiers up to {tier.name!r} take {total:g} from {tier.limiter!r}, which never holds more than "
                        f"{tier.limiter.capacity:g}. Lower their costs, or make the limiter larger."
                    )
                charges.append(Charge(tier.name, tier.limiter, total))
        if not wanted:
            self._all = charges
        return charges

    def _named(self, only: Iterable[str] | None) -> set[str]:
        if isinstance(only, str):
            raise ValueError(f"only={only!r} is one string. Pass a list of tier names: only=[{only!r}].")  # noqa: TRY004
        wanted = set(only or ())
        for unknown in sorted(wanted - self._tiers.keys()):
            near = get_close_matches(unknown, self._tiers) or list(self._tiers)
            there = f"Did you mean {' or '.join(map(repr, near))}?" if near else "There are no tiers."
            raise ValueError(f"{self!r} has no tier {unknown!r}. {there}")  # cano lets it pass (RAT-11; G-RAT-1)
        return wanted


def refusing(charges: Iterable[Charge]) -> Charge | None:
    """The first tier that has too little."""
    return next((charge for charge in charges if charge.limiter.available_in(charge.so_far)), None)


def totals(charges: Iterable[Charge]) -> dict[Meter, float]:
    """What each limiter is to give, in the order of the tiers."""
    return {charge.limiter: charge.so_far for charge in charges}
