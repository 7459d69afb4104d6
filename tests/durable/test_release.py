"""A durable run that is stopped from outside is released where it stands: nothing is undone, and it goes on later."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from cano_trio import JournalError, RunStatus
from tests.durable.crashing import InMemory, Scene, World, check, end_of, left, live, outline, played, visit
from tests.durable.scenes import SCENES
from tests.engine.stepping import cancel_at_every_step, interrupt_at_every_step

SOME = ("tasks", "timer", "saga fails", "stepped", "stream to its end", "child undone")
UNDOING = {RunStatus.ROLLING_BACK, RunStatus.ROLLED_BACK, RunStatus.ROLLBACK_FAILED, RunStatus.CANCELLED}


def stop_everywhere(scene: Scene, at_every_step: Callable[..., int]) -> int:
    """Stop a scene at every step of trio's, let it go on in another process, and check the end; gives the moments."""
    worlds: list[World] = []
    expected = end_of(played(scene, InMemory()))

    def make() -> World:
        worlds.append(World(InMemory()))
        return worlds[-1]

    async def work(world: World) -> None:
        try:
            await visit(scene, world)
        except JournalError:
            raise
        except Exception:  # the run has come to its end first
            pass
        finally:
            world.time = trio.current_time()

    moments = at_every_step(make, work)
    for moment, world in enumerate(worlds):
        try:
            _go_on(scene, world, expected)
        except BaseException as error:
            error.add_note(f"{scene.name}: stopped at moment {moment}")
            raise
    return moments


def _go_on(scene: Scene, world: World, expected: dict[str, tuple[object, ...]]) -> None:
    before = left(world)
    for key, one in before.items():
        assert one.stored.record.owner is None, f"{key} was not released"
        if not scene.rolls_back and "led on" not in scene.name and not scene.varies:
            assert one.stored.record.position.status not in UNDOING
            assert all(row.kind == "finished" for row in one.history)
    world.crashes += 1
    live(scene, world)
    end = end_of(world)
    if scene.varies:
        end, expected = outline(end), outline(expected)
    assert end == expected
    check(scene, world)


@pytest.mark.parametrize("name", SOME)
def test_a_cancel_releases(name: str) -> None:
    """Cancelled at any step, the run is released as it is, and goes on to the end it would have come to."""
    assert stop_everywhere(SCENES[name], cancel_at_every_step)


@pytest.mark.parametrize("name", SOME)
def test_an_interrupt_releases(name: str) -> None:
    """Interrupted at any step, the run is released as it is, and goes on to the end it would have come to."""
    assert stop_everywhere(SCENES[name], interrupt_at_every_step)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_cancel_releases_every_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So does every model."""
    moments = stop_everywhere(SCENES[name], cancel_at_every_step)
    with capsys.disabled():
        print(f"\n{name}: cancelled at {moments} moments")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, scene in SCENES.items() if not scene.nursery])
def test_an_interrupt_releases_every_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So does every model that is interrupted."""
    moments = stop_everywhere(SCENES[name], interrupt_at_every_step)
    with capsys.disabled():
        print(f"\n{name}: interrupted at {moments} moments")  # noqa: T201
