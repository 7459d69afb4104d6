"""What a number in a policy may be: validators that name the field, the value and the fix.

cano mends a bad number silently (RET-4) or panics (CIR-1, RAT-1); here a policy that exists is a policy that holds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import attrs

LARGEST = sys.float_info.max

Validator = Callable[[object, "attrs.Attribute[Any]", object], None]


def whole(least: int) -> Validator:
    """A whole number of at least `least`; True and False are no numbers here."""

    def validate(policy: object, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            _complain(policy, field, value, f"a whole number, {least} or more")

    return validate


def finite(least: float = -math.inf, *, most: float = math.inf, above: float = -math.inf) -> Validator:
    """A finite number from `least` to `most`, and greater than `above`; NaN is none."""
    limits = [
        *([f"{least:g} or more"] if least > -math.inf else []),
        *([f"above {above:g}"] if above > -math.inf else []),
        *([f"{most:g} at most"] if most < math.inf else []),
    ]

    def validate(policy: object, field: attrs.Attribute[Any], value: object) -> None:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        # Compared, not converted with isfinite(): an int may be too large to be a float, and then it can't be reckoned with.
        if not (-LARGEST <= number <= LARGEST and least <= number <= most and number > above):
            _complain(policy, field, value, ", ".join(["a finite number", *limits]))

    return validate


def _complain(policy: object, field: attrs.Attribute[Any], value: object, wanted: str) -> None:
    default: object = field.default
    example = f", such as {default!r}" if isinstance(default, int | float) else ""
    raise ValueError(f"{type(policy).__name__}: {field.alias}={value!r} won't do. Pass {wanted}{example}.")
