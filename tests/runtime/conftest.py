"""What tests of the runtime may use."""

from __future__ import annotations

import pytest

from tests.runtime.desk import World


@pytest.fixture
def world() -> World:
    return World()
