"""What tests of the testing tools may use."""

from __future__ import annotations

import pytest

from cano_trio.testing import RecordingObserver


@pytest.fixture
def recorded() -> RecordingObserver:
    return RecordingObserver()
