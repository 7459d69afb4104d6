"""What the tasks that wait for one transaction are woken with, all at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Final, TypeVar, final

import outcome
from typing_extensions import override

T = TypeVar("T")


@final
class Acknowledged(outcome.Outcome[None]):
    """The outcome None, good for any number of tasks: trio would make one for each, which is a tenth of what a wake-up takes."""

    __slots__ = ()

    @override
    def unwrap(self) -> None:
        """Nothing is said but that it is done."""

    @override
    def send(self, gen: Generator[T, None, object], /) -> T:
        """Go on in a generator."""
        return gen.send(None)

    @override
    async def asend(self, agen: AsyncGenerator[T, None], /) -> T:
        """Go on in an asynchronous generator."""
        return await agen.asend(None)


ACKNOWLEDGED: Final = Acknowledged()
