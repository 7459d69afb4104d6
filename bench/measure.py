"""What a case is, and how cases are measured: in turns, so that a noisy machine is noisy for all of them alike."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, Literal, final

import attrs
import trio

Work = Callable[[int], Awaitable[object]]
"""Does something that many times."""

Clocked = Callable[[int], float]
"""Does something that many times, and returns the seconds that one took; or the bytes, where that is the case's unit."""

WARM_UP = 10
"""The part of a sample that runs before the first: a tenth."""


@final
@attrs.frozen(kw_only=True)
class Case:
    """One thing to be measured.

    Args:
        name: what the table calls it.
        clocked: does it; None if it can't be done here, and the note says why.
        times: how often, for one sample; 20 to 100 ms in all.
        baseline: the name of the case that it is compared with; None for such a case itself.
        reach: the microseconds that one should take at most.
        reach_ratio: how many times the baseline it should take at most.
        reach_added: the microseconds that it should take at most on top of its baseline.
        note: what one must know to read its figures.
        unit: what its figures are in; where bytes, the reaches are bytes, too.
        once: one sample tells it all; so it must be for all cases of a baseline.
        big: it takes long, and is measured only on demand.
    """

    name: str
    clocked: Clocked | None
    times: int = 1
    baseline: str | None = None
    reach: float | None = None
    reach_ratio: float | None = None
    reach_added: float | None = None
    note: str = ""
    unit: Literal["us", "bytes"] = "us"
    once: bool = False
    big: bool = False


@final
@attrs.frozen(kw_only=True)
class Result:
    """What a case came to, in microseconds or bytes for one; None where nothing was measured.

    Args:
        case: the case.
        median: of all samples.
        spread: the fastest and the slowest sample.
        ratio: to the baseline: the median of the ratios of samples taken one after the other.
        added: to the baseline: the median of the differences.
    """

    case: Case
    median: float | None = None
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    added: float | None = None

    @property
    def missed(self) -> list[str]:
        """The figures that it does not reach."""
        case = self.case
        bounds = [
            ("time", self.median, case.reach),
            ("ratio", self.ratio, case.reach_ratio),
            ("added", self.added, case.reach_added),
        ]
        return [name for name, got, most in bounds if got is not None and most is not None and got > most]

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON holds it."""
        case = self.case
        return {
            "name": case.name,
            "median": self.median,
            "spread": self.spread,
            "baseline": case.baseline,
            "ratio": self.ratio,
            "added": self.added,
            "reach": {"time": case.reach, "ratio": case.reach_ratio, "added": case.reach_added},
            "missed": self.missed,
            "note": case.note,
            "unit": case.unit,
        }


def measure(cases: Sequence[Case], *, repeats: int, part: int) -> list[Result]:
    """Measure cases that belong together: in each round all of them, every other round backwards.

    The garbage collector stays on, as users have it, and has collected before each sample.

    Args:
        cases: the cases, with their baselines among them.
        repeats: how many samples each gives.
        part: the part of `Case.times` that is done; 1 for all.
    """
    samples: dict[str, list[float]] = {case.name: [] for case in cases}
    able = [(case, case.clocked) for case in cases if case.clocked is not None]
    for case, clocked in able:
        if case.times > 1 and not case.once:
            clocked(max(1, case.times // part // WARM_UP))
    for number in range(repeats):
        for case, clocked in reversed(able) if number % 2 else able:
            if number and case.once:
                continue
            gc.collect()
            scale = 1e6 if case.unit == "us" else 1
            samples[case.name].append(clocked(max(1, case.times // part)) * scale)
    return [_result(case, samples[case.name], samples[case.baseline or case.name]) for case in cases]


def _result(case: Case, own: list[float], base: list[float]) -> Result:
    if not own:
        return Result(case=case)
    spread = (min(own), max(own))
    if case.baseline is None or not base:
        return Result(case=case, median=median(own), spread=spread)
    pairs = list(zip(own, base, strict=True))
    return Result(
        case=case,
        median=median(own),
        spread=spread,
        ratio=median(mine / other for mine, other in pairs),
        added=median(mine - other for mine, other in pairs),
    )


def in_trio(work: Work) -> Clocked:
    """Clocks work inside a trio run, whose own start and end do not count."""
    return lambda times: trio.run(_clock, work, times)


def in_asyncio(work: Work) -> Clocked:
    """Clocks work inside an asyncio run, for libraries that know no trio."""
    return lambda times: asyncio.run(_clock(work, times))


async def _clock(work: Work, times: int) -> float:
    begun = perf_counter()
    await work(times)
    return (perf_counter() - begun) / times


def calls(function: Callable[..., Awaitable[object]], *args: object) -> Work:
    """Calls a function that many times in a row."""

    async def work(times: int) -> None:
        for _ in range(times):
            await function(*args)

    return work


async def nothing() -> None:
    """The call that policies are put around: it does nothing, so that only they are seen."""


def optional(module: str) -> Any | None:
    """A module, or None if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
