"""E17's question: whether a value of one annotation may be given where another is asked for."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Annotated, Any, Literal, SupportsInt

import pytest
from typing_extensions import TypeAliasType

from cano_trio._define.compatible import compatible

Number = TypeAliasType("Number", int)


@pytest.mark.parametrize(
    "given, wanted, fits",
    [
        (int, object, True),
        (int, Any, True),
        (int | str, int, False),
        (int, int | str, True),
        (Literal[1], Literal[1, 2], True),
        (Literal[1, "a"], int, False),
        (int, float, True),
        (float, int, False),
        (list[int], Sequence[str], True),
        (dict[str, int], dict[str, str], False),
        (tuple[int, int], tuple[int], True),
        (int, Sized, False),
        (list[int], Sized, True),
        (str, SupportsInt, True),
        (Number, int, True),
        (Number, str, False),
        (Annotated[Number, "x"], Annotated[str, "y"], False),
        ("Later", int, True),
        (None, type(None), True),
    ],
    ids=str,
)
def test_compatible(given: Any, wanted: Any, fits: bool) -> None:  # noqa: FBT001
    """E17's question, answered: only what can't fit is refused."""
    assert compatible(given, wanted) is fits
