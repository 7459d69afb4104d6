"""What a rollback tells that several processes have carried out, one after the other."""

from __future__ import annotations

from typing import Any

import pytest

from cano_trio import RollbackFailed, RunFailed, failure_context
from cano_trio.testing import explore_crashes
from tests.durable.crashing import scenario
from tests.durable.scenes import SCENES

UNDONE = [name for name, scene in SCENES.items() if (scene.rolls_back or "undone" in name) and not scene.varies]


def told(error: Any) -> dict[str, list[str]] | None:
    """What the failure told that has ended a run, if it is not only that the run is over."""
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, RollbackFailed):
        (error,) = error.exceptions  # of a nursery
    context = None if isinstance(error, RunFailed) else failure_context(error)
    if context is None or context.rollback is None:
        return None
    rollback = context.rollback
    return {
        "undone": [state.name for state, _ in rollback.undone],
        "failed": [f"{state.name}: {error}" for state, error in rollback.failed],
        "left": [state.name for state in rollback.left],
        "in doubt": [state.name for state in rollback.in_doubt],
        "outstanding": [one.key for one in rollback.outstanding],
    }


@pytest.mark.parametrize("name", UNDONE)
def test_a_rollback_tells_all_of_it(name: str) -> None:
    """Whatever process has undone a state, the end tells of it, in the order in which it was done; and of all that failed."""
    found: list[dict[str, list[str]]] = []

    def compare(error: Exception) -> None:
        if (rollback := told(error)) is not None:
            found.append(rollback)
            assert rollback == found[0]  # of the play in which nothing happened

    explore_crashes(scenario(SCENES[name], told=compare), kinds=["before", "after"])
    assert len(found) > 6
