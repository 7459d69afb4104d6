"""The crash matrix: a run that loses its process at any write goes on in the next one, and ends as if it had not."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.durable.crashing import InFile, InMemory, Store, break_everywhere
from tests.durable.scenes import SCENES

SLICE = 5  # prime to the number of faults, so that each has its turn
"""The default suite plays every so manieth cell."""

IN_FILE = ("tasks", "receive", "task receives", "saga fails", "books all, fails", "child undone")
"""Scenes that the default suite plays in a file, too."""


@pytest.mark.parametrize("name", SCENES)
def test_it_survives_a_crash(name: str) -> None:
    """Writes of each model, lost, kept, or kept and told to have failed: the run ends as the uncrashed one."""
    assert break_everywhere(SCENES[name], InMemory, every=SLICE)


@pytest.mark.parametrize("name", IN_FILE)
def test_it_survives_a_crash_in_a_file(name: str, tmp_path: Path) -> None:
    """The same holds of runs in a SQLite file, of which the next process finds what was in it at the crash."""
    assert break_everywhere(SCENES[name], InFolder(tmp_path), every=3 * SLICE)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_it_survives_every_pair_of_crashes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each write is met by each fault, and each write of the process that goes on, too."""
    cells = break_everywhere(SCENES[name], InMemory, twice=True)
    with capsys.disabled():
        print(f"\n{name}: {cells} cells in memory")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_it_survives_every_crash_in_a_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each write to a SQLite file is met by each fault."""
    cells = break_everywhere(SCENES[name], InFolder(tmp_path))
    with capsys.disabled():
        print(f"\n{name}: {cells} cells in a file")  # noqa: T201


class InFolder:
    """Makes stores, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()

    def __call__(self) -> Store:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return InFile(folder)
