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
from .effects import Effect as Effect
from .effects import Effects as Effects
from .explorers import explore as explore
from .explorers import explore_cancellations as explore_cancellations
from .explorers import explore_crashes as explore_crashes
from .explorers import explore_schedules as explore_schedules
from .explorers import replay as replay
from .laboratory import Laboratory as Laboratory
from .laboratory import LogEntry as LogEntry
from .picture import Coverage as Coverage
from .play import Check as Check
from .play import NeverEnds as NeverEnds
from .play import Scenario as Scenario
from .play import ScenarioVaries as ScenarioVaries
from .process import Crash as Crash
from .process import Write as Write
from .report import Replay as Replay
from .report import Report as Report
from .report import ScenarioFailed as ScenarioFailed
from .storage import OpenJournal as OpenJournal
from .switches import SchedulerNotSeedable as SchedulerNotSeedable
from .virtual import run_virtual as run_virtual

__all__ = [
    "CancelOf",
    "Check",
    "Coverage",
    "Crash",
    "Effect",
    "Effects",
    "How",
    "Laboratory",
    "LogEntry",
    "NeverEnds",
    "OpenJournal",
    "Replay",
    "Report",
    "Scenario",
    "ScenarioFailed",
    "ScenarioVaries",
    "SchedulerNotSeedable",
    "Write",
    "explore",
    "explore_cancellations",
    "explore_crashes",
    "explore_schedules",
    "replay",
    "run_virtual",
]


def _move_in() -> None:
    """Give what is public its public name, in messages and for pickles."""
    for name in __all__:
        if getattr(globals()[name], "__module__", "").startswith(__name__ + "."):
            globals()[name].__module__ = __name__


_move_in()
