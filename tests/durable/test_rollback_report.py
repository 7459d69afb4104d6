"""What a rollback tells that several processes have carried out, one after the other."""

from __future__ import annotations

import pytest

from cano_trio import RollbackFailed, RunFailed, failure_context
from tests.durable.crashing import HOWS, Fault, InMemory, Scene, World, played
from tests.durable.scenes import SCENES

UNDONE = [name for name, scene in SCENES.items() if (scene.rolls_back or "undone" in name) and not scene.varies]


def told(world: World) -> dict[str, list[str]] | None:
    """What the failure told that has ended a run, if it is not only that the run is over."""
    error = world.ends[-1]
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, RollbackFailed):
        (error,) = error.exceptions  # of a nursery
    context = None if error is None or isinstance(error, RunFailed) else failure_context(error)
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


def faults(scene: Scene) -> list[Fault]:
    """The death of the process before and after each write of the scene."""
    writes = played(scene, InMemory()).writes[0]
    return [Fault(at, how) for at in range(1, writes + 1) for how in HOWS[:2]]


@pytest.mark.parametrize("name", UNDONE)
def test_a_rollback_tells_all_of_it(name: str) -> None:
    """Whatever process has undone a state, the end tells of it, in the order in which it was done; and of all that failed."""
    scene = SCENES[name]
    expected = told(played(scene, InMemory()))
    assert expected is not None
    compared = 0
    for fault in faults(scene):
        found = told(played(scene, InMemory(), [fault]))
        assert found in (expected, None), f"{name}: {fault}"
        compared += found is not None
    assert compared > 4
