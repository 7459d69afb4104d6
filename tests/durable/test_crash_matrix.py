"""The crash matrix: a run that loses its process at any write goes on in the next one, and ends as if it had not."""

from __future__ import annotations

import pytest

from tests.durable.crashing import InMemory, break_everywhere
from tests.durable.scenes import SCENES


@pytest.mark.parametrize("name", SCENES)
def test_it_survives_every_crash(name: str) -> None:
    """Each write of each model, lost, kept, or kept and told to have failed: the run ends as the uncrashed one."""
    assert break_everywhere(SCENES[name], InMemory)
