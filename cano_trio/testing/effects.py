"""What tasks under test do to the world outside, written down where no crash undoes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, final

import attrs

from .._define.context import RunContext

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})


@final
@attrs.frozen(kw_only=True)
class Effect:
    """Something that a task did to the world outside.

    Args:
        name: what.
        run_id: the run that did it; empty if it was told without a `RunContext`.
        state: the name of the state the run was in.
        visit: how often it had been there.
        attempt: the number of the attempt.
        key: the idempotency key it was done under.
        undoes: in a compensation, the idempotency key of the work that it undoes; None elsewhere.
        life: the number of the process that did it, counted from 1.
        details: what else was told of it.

    >>> print(Effect(name="charge", run_id="order-1", state="PAY", key="order-1/2", details={"amount": 5}))
    life 1  charge  order-1 PAY 1.1  key order-1/2  amount=5
    """

    name: str
    run_id: str = ""
    state: str = ""
    visit: int = 1
    attempt: int = 1
    key: str = ""
    undoes: str | None = None
    life: int = 1
    details: Mapping[str, object] = _NO_DETAILS

    def __str__(self) -> str:
        """One line: where it was done by whom; ``PAY 2.3`` is the third attempt of the second visit."""
        parts = [f"life {self.life}", self.name]
        if self.run_id:
            parts.append(f"{self.run_id} {self.state} {self.visit}.{self.attempt}")
        parts += [f"key {self.key}"] if self.key else []
        parts += [f"undoes {self.undoes}"] if self.undoes else []
        parts += [f"{name}={value!r}" for name, value in self.details.items()]
        return "  ".join(parts)


def _first_life() -> int:
    return 1


def _ignore(_: Effect) -> None:
    """What is told to nobody."""


@final
class Effects:
    """What tasks under test did to the world outside, in order; it stands in for the services that they call.

    A `Laboratory` has one, which outlives its crashes. Tasks get it injected, as any resource, and say what they do:

    - `record` is a service that does what it is told, as often as it is told;
    - `record_once` is one that honours idempotency keys: what was done under a key is not done again.

    Args:
        life: tells the number of the process that is alive, whenever something is done; always 1 by default.

    >>> from enum import Enum
    >>> from typing import Literal
    >>> import trio
    >>> from cano_trio import Resources, RunContext, Workflow
    >>> from cano_trio.testing import Effects
    >>> Step = Enum("Step", "PAY DONE")
    >>> workflow = Workflow(Step, initial=Step.PAY, exits=[Step.DONE])
    >>> @workflow.task(Step.PAY)
    ... async def pay(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
    ...     effects.record("charge", ctx, amount=5)
    ...     return Step.DONE
    >>> effects = Effects()
    >>> _ = trio.run(lambda: workflow.run(run_id="order-1", resources=Resources(effects=effects)))
    >>> print(effects)
    life 1  charge  order-1 PAY 1.1  key order-1/0  amount=5
    >>> effects.of("charge").once()
    """

    def __init__(self, life: Callable[[], int] = _first_life) -> None:
        self._life = life
        self._done: list[Effect] = []
        self._first: dict[tuple[str, str], Effect] = {}
        """The first of each name and key."""
        self._what = "effects"
        self._note: Callable[[Effect], object] = _ignore

    def begin(self, life: Callable[[], int], note: Callable[[Effect], object]) -> None:
        """Forget all that was done.

        Args:
            life: tells the number of the process that is alive from now on.
            note: is told of each effect.

        >>> effects = Effects()
        >>> _ = effects.record("charge")
        >>> effects.begin(lambda: 2, print)
        >>> _ = effects.record("refund")
        life 2  refund
        >>> len(effects)
        1
        """
        self._done, self._first = [], {}
        self._life, self._note = life, note

    # -- what tasks say

    def record(
        self, name: str, ctx: RunContext[Any] | None = None, /, *, key: str | None = None, **details: object
    ) -> Effect:
        """Something is done, once more, whatever was done before.

        Args:
            name: what, such as ``"charge"``.
            ctx: the context of the task that does it.
            key: the key that the service is given; by default the context's idempotency key.
            details: what else is to be told of it, such as ``amount=5``.

        Returns:
            The entry.

        >>> effects = Effects()
        >>> _ = effects.record("mail", key="a", to="mo")
        >>> _ = effects.record("mail", key="a", to="mo")
        >>> len(effects)
        2
        """
        return self._noted(self._effect(name, ctx, key, details))

    def record_once(
        self, name: str, ctx: RunContext[Any] | None = None, /, *, key: str | None = None, **details: object
    ) -> Effect:
        """Something is done, unless it was done under this key already; arguments as those of `record`.

        Returns:
            The entry that stands: the new one, or the one of before.

        >>> effects = Effects()
        >>> _ = effects.record_once("charge", key="a", amount=5)
        >>> effects.record_once("charge", key="a", amount=5) is effects[0]
        True
        >>> len(effects)
        1
        """
        effect = self._effect(name, ctx, key, details)
        return self._first.get((effect.name, effect.key)) or self._noted(effect)

    def has(self, name: str, key: str) -> bool:
        """Whether something was done under a key: what a compensation in doubt asks a service.

        >>> effects = Effects()
        >>> _ = effects.record("charge", key="a")
        >>> effects.has("charge", "a"), effects.has("charge", "b")
        (True, False)
        """
        self._life()
        return (name, key) in self._first

    def _noted(self, effect: Effect) -> Effect:
        self._done.append(effect)
        self._first.setdefault((effect.name, effect.key), effect)
        self._note(effect)
        return effect

    def _effect(self, name: str, ctx: RunContext[Any] | None, key: str | None, details: Mapping[str, object]) -> Effect:
        life = self._life()
        if ctx is None:
            return Effect(name=name, key=key or "", life=life, details=details)
        return Effect(
            name=name,
            run_id=ctx.run_id,
            state=ctx.state.name,
            visit=ctx.visit,
            attempt=ctx.attempt,
            key=ctx.idempotency_key if key is None else key,
            undoes=ctx.forward_key,
            life=life,
            details=details,
        )

    # -- looking at some of them

    def of(self, *names: str, run: str | None = None) -> Effects:
        """Those of some names, or of one run, as they are now.

        Args:
            names: what was done; anything if there is none.
            run: the id of the run that did it; any if it is None.

        >>> effects = Effects()
        >>> for name in ("reserve", "charge", "ship"):
        ...     _ = effects.record(name)
        >>> [effect.name for effect in effects.of("charge", "ship")]
        ['charge', 'ship']
        """
        chosen = Effects(self._life)
        chosen._done = [done for done in self._done if (not names or done.name in names) and run in {None, done.run_id}]
        chosen._what = " ".join([", ".join(names) or "effects", *([f"of {run}"] if run else [])])
        return chosen

    def __iter__(self) -> Iterator[Effect]:
        return iter(tuple(self._done))

    def __len__(self) -> int:
        return len(self._done)

    def __getitem__(self, at: int) -> Effect:
        return self._done[at]

    def __str__(self) -> str:
        """One line for each."""
        return "\n".join(map(str, self._done)) or "no effects"

    def __repr__(self) -> str:
        return f"<Effects: {len(self._done)} {self._what}>"

    # -- what must hold of them

    def once(self) -> None:
        """It was done exactly once.

        Raises:
            AssertionError: it was not.

        >>> effects = Effects()
        >>> _ = effects.record("charge", key="a")
        >>> _ = effects.record("charge", key="b")
        >>> effects.of("charge").once()
        Traceback (most recent call last):
        AssertionError: charge: 2 in place of 1
          life 1  charge  key a
          life 1  charge  key b
        """
        if len(self._done) != 1:
            raise AssertionError(self._told(f"{len(self._done)} in place of 1", self._done))

    def at_most_once_per_key(self) -> None:
        """Nothing was done twice under one key; with crashes, only a service that honours keys can promise that.

        Raises:
            AssertionError: something was.

        >>> effects = Effects()
        >>> _ = effects.record("charge", key="a")
        >>> _ = effects.record("charge", key="a")
        >>> effects.at_most_once_per_key()
        Traceback (most recent call last):
        AssertionError: effects: more than once under one key
          life 1  charge  key a
          life 1  charge  key a
        """
        counts = Counter((done.name, done.key) for done in self._done)
        if often := [done for done in self._done if counts[done.name, done.key] > 1]:
            raise AssertionError(self._told("more than once under one key", often))

    def in_order(self, *names: str) -> None:
        """In each run, nothing was done before what comes before it; what was not done at all is in its place.

        Args:
            names: what comes after what, such as ``"reserve", "charge", "ship"``.

        Raises:
            AssertionError: something was done before something that comes before it.

        >>> effects = Effects()
        >>> _ = effects.record("ship")
        >>> _ = effects.record("charge")
        >>> effects.in_order("charge", "ship")
        Traceback (most recent call last):
        AssertionError: effects: not in the order charge, ship
          life 1  ship
          life 1  charge
        """
        latest: dict[str, Effect] = {}
        for done in self._done:
            if done.name not in names:
                continue
            before = latest.get(done.run_id)
            if before is not None and names.index(done.name) < names.index(before.name):
                raise AssertionError(self._told(f"not in the order {', '.join(names)}", [before, done]))
            latest[done.run_id] = done

    def balanced(self, done: str, undone: str) -> None:
        """Each thing that was done was undone as often, and nothing else was.

        They are matched by keys: an effect that a compensation records undoes the work of its ``forward_key``, any other what
        was done under its own key.

        Args:
            done: what was done, such as ``"charge"``.
            undone: what undoes it, such as ``"refund"``.

        Raises:
            AssertionError: something was done and not undone, or undone and not done.

        >>> effects = Effects()
        >>> _ = effects.record("charge", key="a")
        >>> _ = effects.record("charge", key="b")
        >>> _ = effects.record("refund", key="a")
        >>> effects.balanced("charge", "refund")
        Traceback (most recent call last):
        AssertionError: effects: charge without refund
          life 1  charge  key b
        """
        does = Counter(one.key for one in self._done if one.name == done)
        undoes = Counter(one.undoes or one.key for one in self._done if one.name == undone)
        self._check_matched(done, does, undone, undoes, lambda one: one.key)
        self._check_matched(undone, undoes, done, does, lambda one: one.undoes or one.key)

    def _check_matched(
        self, name: str, these: Counter[str], other: str, those: Counter[str], key: Callable[[Effect], str]
    ) -> None:
        if left := these - those:
            without = [one for one in self._done if one.name == name and key(one) in left]
            raise AssertionError(self._told(f"{name} without {other}", without))

    def _told(self, what: str, offending: Iterable[Effect]) -> str:
        return "\n  ".join([f"{self._what}: {what}", *map(str, offending)])
