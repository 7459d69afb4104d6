"""The crash matrix: a run that loses its process at any write goes on in the next one, and ends as if it had not."""

from __future__ import annotations

from typing import get_args

import pytest

from cano_trio.journals import SqliteJournal
from cano_trio.testing import How, Report, explore_crashes
from tests.durable.crashing import Scene, scenario
from tests.durable.scenes import SCENES

HOWS: tuple[How, ...] = get_args(How)

SLICE = 5  # prime to the number of faults, so that each has its turn
"""The default suite plays every so manieth cell."""

SLICE_IN_FILE = 13
"""The same of those in a file, each of which is slower."""

IN_FILE = ("tasks", "receive", "task receives", "saga fails", "books all, fails", "child undone")
"""Scenes that the default suite plays in a file, too."""


def in_file(scene: Scene, *, every: int = 1) -> Report:
    """Play it with a SQLite file, of which the next process finds what was in it at the crash."""
    return explore_crashes(
        scenario(scene), kinds=HOWS, every=every, journal=lambda folder: SqliteJournal(folder / "runs.db")
    )


@pytest.mark.parametrize("name", SCENES)
def test_it_survives_a_crash(name: str) -> None:
    """Writes of each model, lost, kept, or kept and told to have failed: the run ends as the uncrashed one."""
    assert explore_crashes(scenario(SCENES[name]), kinds=HOWS, every=SLICE).cells > 5


@pytest.mark.parametrize("name", IN_FILE)
def test_it_survives_a_crash_in_a_file(name: str) -> None:
    """The same holds of runs in a SQLite file, of which the next process finds what was in it at the crash."""
    assert in_file(SCENES[name], every=SLICE_IN_FILE).cells > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_it_survives_every_pair_of_crashes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each write is met by each fault, and each write of the process that goes on, too."""
    report = explore_crashes(scenario(SCENES[name]), kinds=HOWS, pairs=True)
    with capsys.disabled():
        print(f"\n{name}, in memory: {report}")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_it_survives_every_crash_in_a_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each write to a SQLite file is met by each fault."""
    report = in_file(SCENES[name])
    with capsys.disabled():
        print(f"\n{name}, in a file: {report}")  # noqa: T201
