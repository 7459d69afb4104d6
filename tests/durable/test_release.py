"""A durable run that is stopped from outside is released where it stands: nothing is undone, and it goes on later."""

from __future__ import annotations

import pytest

from cano_trio.testing import CancelOf, explore_cancellations
from tests.durable.crashing import scenario
from tests.durable.scenes import SCENES

SOME = ("tasks", "timer", "saga fails", "stepped", "stream to its end", "child undone")


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("of", ["scenario", "interrupt"])
def test_it_is_released(name: str, of: CancelOf) -> None:
    """Cancelled or interrupted at any step, the run is released as it is, and goes on to the end it would have come to."""
    assert explore_cancellations(scenario(SCENES[name], is_released=True), of=of).cells > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("of", ["scenario", "interrupt"])
def test_every_model_is_released(name: str, of: CancelOf, capsys: pytest.CaptureFixture[str]) -> None:
    """So does every model; where tasks of a nursery are interrupted, that ends all of them."""
    if of == "interrupt" and SCENES[name].nursery:
        pytest.skip("the nursery is the client's")
    report = explore_cancellations(scenario(SCENES[name], is_released=True), of=of)
    with capsys.disabled():
        print(f"\n{name}, {of}: {report}")  # noqa: T201
