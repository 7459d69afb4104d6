"""What tests of workflows are written with; import it explicitly."""

from .conformance import ConformanceCheck as ConformanceCheck
from .conformance import JournalFactory as JournalFactory
from .conformance import LawBroken as LawBroken
from .conformance import conformance_checks as conformance_checks
from .conformance import journal_conformance as journal_conformance
from .fakes import FakeCall as FakeCall
from .fakes import FakeTask as FakeTask
from .fakes import FlakyResource as FlakyResource
from .fakes import ScriptRanOut as ScriptRanOut
from .faulty import FaultyJournal as FaultyJournal
from .opening import RuntimeOpener as RuntimeOpener
from .opening import RuntimeOptions as RuntimeOptions
from .recording import RecordingObserver as RecordingObserver
from .state_replay import ReplayedState as ReplayedState
from .state_replay import replay_state as replay_state

__all__ = [
    "ConformanceCheck",
    "FakeCall",
    "FakeTask",
    "FaultyJournal",
    "FlakyResource",
    "JournalFactory",
    "LawBroken",
    "RecordingObserver",
    "ReplayedState",
    "RuntimeOpener",
    "RuntimeOptions",
    "ScriptRanOut",
    "conformance_checks",
    "journal_conformance",
    "replay_state",
]


def _move_in() -> None:
    """Give what is public its public name, in messages and for pickles."""
    for name in __all__:
        if getattr(globals()[name], "__module__", "").startswith(__name__ + "."):
            globals()[name].__module__ = __name__


_move_in()
