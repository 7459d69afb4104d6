"""The pytest plugin: fixtures for tests of workflows.

It is installed as the module ``pytest_cano_trio``, outside of the package: pytest loads it in every project that has cano_trio
installed, and importing it there must not bring in the package. So nothing of that is imported but within a fixture.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from trio.abc import Clock, Instrument

    from cano_trio.journals import MemoryJournal
    from cano_trio.testing import RecordingObserver, RuntimeOpener

T = TypeVar("T")


@pytest.fixture
def memory_journal() -> MemoryJournal:
    """A `MemoryJournal` with nothing in it, not yet open."""
    from cano_trio.journals import MemoryJournal  # noqa: PLC0415

    return MemoryJournal()


@pytest.fixture
def record_events() -> RecordingObserver:
    """A `RecordingObserver`: it is told of all runs of this test's runtimes; pass it in ``observers=`` of others."""
    from cano_trio.testing import RecordingObserver  # noqa: PLC0415

    return RecordingObserver()


@pytest.fixture
def cano_runtime(memory_journal: MemoryJournal, record_events: RecordingObserver) -> RuntimeOpener:
    """What opens a runtime on `memory_journal`, watched by `record_events`.

    Write ``async with cano_runtime(workflow) as runtime``; see `RuntimeOpener`.
    """
    from cano_trio.testing import RuntimeOpener  # noqa: PLC0415

    return RuntimeOpener(journal=memory_journal, observers=[record_events])


@pytest.fixture
def virtual_runtime(cano_runtime: RuntimeOpener, request: pytest.FixtureRequest) -> RuntimeOpener:
    """As `cano_runtime`; and the test runs in virtual time, in which no sleep takes any."""
    if not request.config.pluginmanager.hasplugin("trio"):
        pytest.fail(
            "the fixture virtual_runtime needs pytest-trio, which runs async tests on trio: pip install pytest-trio, and set "
            "trio_mode = true in pytest's configuration",
            pytrace=False,
        )
    # pytest-trio looks for a clock among the test's own arguments only; its mark names what runs the test.
    request.node.add_marker(pytest.mark.trio(run=run_in_virtual_time), append=False)
    return cano_runtime


def run_in_virtual_time(
    async_test: Callable[[], Awaitable[T]], *, clock: Clock | None = None, instruments: Sequence[Instrument] = ()
) -> T:
    """Run a test as `trio.run` does, under a `MockClock` that jumps by itself, unless the test has a clock of its own."""
    import trio  # noqa: PLC0415
    from trio.testing import MockClock  # noqa: PLC0415

    return trio.run(async_test, clock=clock or MockClock(autojump_threshold=0), instruments=instruments)
