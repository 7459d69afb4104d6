"""What every journal has to do, for those who write one: checks that can be run one by one, or all in order.

A check is tried on a store in which there is nothing yet; it is given what makes a journal of that store, each time as another
process would have it:

>>> import trio
>>> from cano_trio.journals import MemoryJournal
>>> from cano_trio.testing import conformance_checks
>>> store = MemoryJournal()
>>> check = conformance_checks[0]
>>> print(check)
a_created_run_is_loaded_as_it_was
>>> trio.run(check, lambda: MemoryJournal(beside=store))

In a test file of your own, with pytest-trio::

    @pytest.mark.parametrize("check", conformance_checks, ids=str)
    async def test_my_journal(check, tmp_path):
        await check(lambda: MyJournal(tmp_path / "runs.db"))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ._laws import claiming, commits, creating, holding, listing, messages, schedules
from ._laws.law import ConformanceCheck as ConformanceCheck
from ._laws.law import JournalFactory as JournalFactory
from ._laws.law import LawBroken as LawBroken

_ROOMS = (creating, commits, holding, messages, listing, claiming, schedules)

conformance_checks: Final[tuple[ConformanceCheck, ...]] = tuple(
    found for room in _ROOMS for found in vars(room).values() if isinstance(found, ConformanceCheck)
)
"""All laws of journals, the simplest first.

A store that only one process can use at a time leaves out those that have `ConformanceCheck.needs_second`.
"""


async def journal_conformance(new_store: Callable[[], JournalFactory], /) -> None:
    """Try all laws on a journal, each on a store of its own, and tell of all that are broken.

    Args:
        new_store: makes a store in which there is nothing, and gives what makes a journal of it: called again, as another
            process would have it.

    Raises:
        ExceptionGroup: a `LawBroken` for each law that does not hold.

    >>> import trio, trio.testing
    >>> from cano_trio.journals import ForwardingJournal, MemoryJournal
    >>> from cano_trio.testing import journal_conformance
    >>> class Forgetful(ForwardingJournal):
    ...     async def keep_schedule(self, schedule):
    ...         return None
    >>> def new_store():
    ...     store = MemoryJournal()
    ...     return lambda: Forgetful(MemoryJournal(beside=store))
    >>> try:
    ...     trio.run(journal_conformance, new_store, clock=trio.testing.MockClock(autojump_threshold=0))
    ... except* AssertionError as broken:
    ...     print(len(broken.exceptions) > 1)
    ...     print(broken.exceptions[-1].law)
    True
    a_run_that_is_there_fires_nothing
    """
    broken: list[LawBroken] = []
    for check in conformance_checks:
        try:
            await check(new_store())
        except LawBroken as error:
            broken.append(error)
    if broken:
        raise ExceptionGroup(f"{len(broken)} of {len(conformance_checks)} laws of journals do not hold", broken)
