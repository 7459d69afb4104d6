"""One thing that an explorer tries, and the name by which it is tried again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Self, TypeAlias, cast, final, get_args

import attrs

How: TypeAlias = Literal["before", "after", "reported-failed", "away"]
"""What happens at a write: the process dies before or after it; or the write is made, and reported as failed; or nothing can
be written for now, which is told."""

CancelOf: TypeAlias = Literal["scenario", "run", "interrupt"]
"""What is cancelled: the scenario from outside, as by a deadline; its runs, as by `Run.cancel`; or all of it, by a Ctrl-C."""

_NUMBER = re.compile("[0-9]+")


@final
@attrs.frozen
class Fault:
    """What happens at the n-th write of a process."""

    how: How
    at: int

    def __str__(self) -> str:
        return f"crash:{self.how}:{self.at}"


@final
@attrs.frozen
class Cancel:
    """At which of its moments something is cancelled: a task is about to go on, or has begun to wait."""

    of: CancelOf
    at: int

    def __str__(self) -> str:
        return f"cancel:{self.at}" if self.of == "scenario" else f"cancel:{self.of}:{self.at}"


@final
@attrs.frozen
class Cell:
    """One run of a scenario through all its processes, told by a name such as ``crash:after:7,seed:42``.

    Args:
        seed: the order of tasks.
        faults: what happens in the first process, the second, and so on.
        cancel: what is cancelled, and when.

    >>> str(Cell.named("crash:before:3,crash:after:2,seed:1"))
    'crash:before:3,crash:after:2,seed:1'
    >>> Cell.named("crash:sometimes:3")
    Traceback (most recent call last):
    ValueError: 'crash:sometimes:3' is no name of a cell: there are crash:before:3, crash:after:3, crash:reported-failed:3, ...
    """

    seed: int = 0
    faults: tuple[Fault, ...] = ()
    cancel: Cancel | None = None

    @classmethod
    def named(cls, name: str) -> Self:
        """The one of a name.

        Raises:
            ValueError: it is no name.
        """
        cell, seen = cls(), set[str]()
        for part in name.replace(" ", "").split(","):
            kind, *words = part.split(":")
            if kind != "crash" and kind in seen:
                raise ValueError(f"{name!r} has {kind} twice: a cell has one")
            seen.add(kind)
            match [kind, *words]:
                case ["seed", number] if _NUMBER.fullmatch(number.removeprefix("-")):
                    cell = attrs.evolve(cell, seed=int(number))
                case ["crash", how, number] if how in get_args(How) and _NUMBER.fullmatch(number) and int(number):
                    cell = attrs.evolve(cell, faults=(*cell.faults, Fault(cast("How", how), int(number))))
                case ["cancel", number] if _NUMBER.fullmatch(number):
                    cell = attrs.evolve(cell, cancel=Cancel("scenario", int(number)))
                case ["cancel", ("run" | "interrupt") as of, number] if _NUMBER.fullmatch(number):
                    cell = attrs.evolve(cell, cancel=Cancel(cast("CancelOf", of), int(number)))
                case _:
                    raise ValueError(
                        f"{part!r} is no name of a cell: there are {', '.join(f'crash:{how}:3' for how in get_args(How))}, "
                        "cancel:3, cancel:run:3, cancel:interrupt:3 and seed:3, joined by commas"
                    )
        return cell

    def simpler(self) -> Iterator[Cell]:
        """Those with less in it, the simplest first: what fails there as well is found more easily."""
        if self.seed:
            yield attrs.evolve(self, seed=0)
        if len(self.faults) > 1:
            yield from (attrs.evolve(self, faults=(fault,)) for fault in self.faults)
        elif self.faults:
            fault = self.faults[0]
            yield from (attrs.evolve(self, faults=(Fault(fault.how, at),)) for at in range(1, fault.at))
        if self.cancel is not None:
            cancel = self.cancel
            yield from (attrs.evolve(self, cancel=Cancel(cancel.of, at)) for at in range(cancel.at))

    def __str__(self) -> str:
        parts = [*self.faults, *([] if self.cancel is None else [self.cancel]), f"seed:{self.seed}"]
        return ",".join(map(str, parts))
