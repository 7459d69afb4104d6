"""What every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

from cano_trio.testing import RecordingObserver

# How long an example takes is the machine's business; the benchmark watches speed.
settings.register_profile("cano_trio", deadline=None)
settings.load_profile("cano_trio")


Recorder = RecordingObserver


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
