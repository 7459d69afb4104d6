"""The laboratory: your workflow in virtual time, with every crash, every cancellation and many orders of its tasks.

>>> from enum import Enum
>>> from typing import Literal
>>> from cano_trio import RunContext, Workflow
>>> from cano_trio.testing import Effects, explore
>>> Step = Enum("Step", "PAY DONE")
>>> workflow = Workflow(Step, initial=Step.PAY, exits=[Step.DONE], name="orders")
>>> @workflow.task(Step.PAY)
... async def pay(ctx: RunContext, effects: Effects) -> Literal[Step.DONE]:
...     effects.record_once("charge", ctx, amount=5)
...     return Step.DONE
>>> async def scenario(lab):
...     await lab.run(workflow, run_id="order-1")
>>> report = explore(scenario, check=lambda lab: lab.effects.of("charge").once())
>>> print(report.coverage[0])
orders: 2 of 2 states, 1 of 1 edges
"""

from .cell import CancelOf as CancelOf
from .cell import How as How
from .conformance import ConformanceCheck as ConformanceCheck
from .conformance import JournalFactory as JournalFactory
from .conformance import LawBroken as LawBroken
from .conformance import conformance_checks as conformance_checks
from .conformance import journal_conformance as journal_conformance
from .effects import Effect as Effect
from .effects import Effects as Effects
from .explorers import explore as explore
from .explorers import explore_cancellations as explore_cancellations
from .explorers import explore_crashes as explore_crashes
from .explorers import explore_schedules as explore_schedules
from .explorers import replay as replay
from .fakes import FakeCall as FakeCall
from .fakes import FakeTask as FakeTask
from .fakes import FlakyResource as FlakyResource
from .fakes import ScriptRanOut as ScriptRanOut
from .faulty import FaultyJournal as FaultyJournal
from .laboratory import Laboratory as Laboratory
from .laboratory import LogEntry as LogEntry
from .opening import RuntimeOpener as RuntimeOpener
from .opening import RuntimeOptions as RuntimeOptions
from .picture import Coverage as Coverage
from .play import Check as Check
from .play import NeverEnds as NeverEnds
from .play import NothingToTry as NothingToTry
from .play import Scenario as Scenario
from .play import ScenarioVaries as ScenarioVaries
from .process import Crash as Crash
from .process import Write as Write
from .recording import RecordingObserver as RecordingObserver
from .report import Replay as Replay
from .report import Report as Report
from .report import ScenarioFailed as ScenarioFailed
from .state_replay import ReplayedState as ReplayedState
from .state_replay import replay_state as replay_state
from .storage import OpenJournal as OpenJournal
from .switches import SchedulerNotSeedable as SchedulerNotSeedable
from .virtual import run_virtual as run_virtual

__all__ = [
    "CancelOf",
    "Check",
    "ConformanceCheck",
    "Coverage",
    "Crash",
    "Effect",
    "Effects",
    "FakeCall",
    "FakeTask",
    "FaultyJournal",
    "FlakyResource",
    "How",
    "JournalFactory",
    "Laboratory",
    "LawBroken",
    "LogEntry",
    "NeverEnds",
    "NothingToTry",
    "OpenJournal",
    "RecordingObserver",
    "Replay",
    "ReplayedState",
    "Report",
    "RuntimeOpener",
    "RuntimeOptions",
    "Scenario",
    "ScenarioFailed",
    "ScenarioVaries",
    "SchedulerNotSeedable",
    "ScriptRanOut",
    "Write",
    "conformance_checks",
    "explore",
    "explore_cancellations",
    "explore_crashes",
    "explore_schedules",
    "journal_conformance",
    "replay",
    "replay_state",
    "run_virtual",
]


def _move_in() -> None:
    for name in __all__:
        if getattr(globals()[name], "__module__", "").startswith(__name__ + "."):
            globals()[name].__module__ = __name__


_move_in()
