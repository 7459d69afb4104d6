"""What tests of workflows are written with; import it explicitly."""

from .fakes import FakeCall as FakeCall
from .fakes import FakeTask as FakeTask
from .fakes import FlakyResource as FlakyResource
from .fakes import ScriptRanOut as ScriptRanOut
from .faulty import FaultyJournal as FaultyJournal
from .recording import RecordingObserver as RecordingObserver

__all__ = ["FakeCall", "FakeTask", "FaultyJournal", "FlakyResource", "RecordingObserver", "ScriptRanOut"]
