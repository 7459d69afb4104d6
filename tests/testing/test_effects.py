"""Effects: what was done to the world outside, and what must hold of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cano_trio import Resources
from cano_trio.testing import Effects, run_virtual
from tests.testing.scenes import Notes, three_states


def test_an_effect_tells_who_did_it() -> None:
    """Run, state, visit, attempt, key and details are noted, in order."""
    effects = Effects()
    run_virtual(lambda: three_states().run(Notes(), run_id="r", resources=Resources(effects=effects)))
    assert [(one.run_id, one.state, one.visit, one.attempt, one.key, one.life) for one in effects] == [
        ("r", "A", 1, 1, "r/0", 1),
        ("r", "B", 1, 1, "r/1", 1),
        ("r", "C", 1, 1, "r/2", 1),
    ]


def done(*names: str, **details: str) -> Effects:
    """Effects of these names, each under the key that follows its name: ``charge a``."""
    effects = Effects()
    for name in names:
        what, _, key = name.partition(" ")
        effects.record(what, key=key, **details)
    return effects


@pytest.mark.parametrize(
    "good, bad, offends",
    [
        pytest.param(
            lambda: done("ship a").once(),
            lambda: done("ship a", "ship b").once(),
            ["ship  key a", "ship  key b"],
            id="once",
        ),
        pytest.param(lambda: done("ship a").once(), lambda: done().once(), ["0 in place of 1"], id="not at all"),
        pytest.param(
            lambda: done("pay a", "pay b", "mail a").at_most_once_per_key(),
            lambda: done("pay a", "pay b", "pay a").at_most_once_per_key(),
            ["pay  key a", "pay  key a"],
            id="at most once per key",
        ),
        pytest.param(
            lambda: done("pay", "mail", "ship", "ship").in_order("reserve", "pay", "ship"),
            lambda: done("ship x", "pay y").in_order("pay", "ship"),
            ["ship  key x", "pay  key y"],
            id="in order",
        ),
        pytest.param(
            lambda: done("pay a", "pay b", "back b", "back a").balanced("pay", "back"),
            lambda: done("pay a", "pay b", "back b").balanced("pay", "back"),
            ["pay without back", "pay  key a"],
            id="balanced",
        ),
        pytest.param(
            lambda: done().balanced("pay", "back"),
            lambda: done("pay a", "back a", "back b").balanced("pay", "back"),
            ["back without pay", "back  key b"],
            id="too much undone",
        ),
        pytest.param(
            lambda: done("pay a", "pay a", "back a", "back a").balanced("pay", "back"),
            lambda: done("pay a", "pay a", "back a").balanced("pay", "back"),
            ["pay without back", "pay  key a"],
            id="undone once too few",
        ),
    ],
)
def test_an_assertion_passes_or_shows_what_offends(
    good: Callable[[], None], bad: Callable[[], None], offends: list[str]
) -> None:
    """Each assertion holds of what is right, and else shows the entries that break it."""
    good()
    with pytest.raises(AssertionError) as caught:
        bad()
    for line in offends:
        assert line in str(caught.value)


def test_runs_are_told_apart() -> None:
    """`of` chooses by name and by run."""
    effects = done("pay a", "ship a")
    assert [one.name for one in effects.of("ship")] == ["ship"]
    assert len(effects.of(run="r")) == 0
    with pytest.raises(AssertionError, match=r"^ship of r: 0 in place of 1"):
        effects.of("ship", run="r").once()


def test_a_service_that_honours_keys_does_it_once() -> None:
    """`record_once` gives the entry that stands, and adds none under a key of before; `record` adds one each time."""
    effects = Effects()
    first = effects.record_once("pay", key="a", amount=1)
    assert effects.record_once("pay", key="a", amount=2) is first
    assert effects.record_once("mail", key="a") is not first
    effects.record("pay", key="a")
    assert [str(one) for one in effects] == [
        "life 1  pay  key a  amount=1",
        "life 1  mail  key a",
        "life 1  pay  key a",
    ]
