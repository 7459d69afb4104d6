"""Finite-state-machine workflows on trio: cancellable truthfully, testable in virtual time.

Everything a workflow is defined and run with is here; see `Workflow` to begin.
"""

import typing as _typing

from ._define.batch import BatchOptions as BatchOptions
from ._define.batch import BatchResults as BatchResults
from ._define.batch import BatchTask as BatchTask
from ._define.batch import ItemResult as ItemResult
from ._define.branch import BranchOptions as BranchOptions
from ._define.branch import BranchTask as BranchTask
from ._define.branch_results import BranchResults as BranchResults
from ._define.compensatable import CompensatableOptions as CompensatableOptions
from ._define.compensatable import CompensatableTask as CompensatableTask
from ._define.config import TaskConfig as TaskConfig
from ._define.config import TaskOptions as TaskOptions
from ._define.context import RunContext as RunContext
from ._define.health import HealthLevel as HealthLevel
from ._define.health import HealthStatus as HealthStatus
from ._define.join_rule import JoinRule as JoinRule
from ._define.memory_store import MemoryStore as MemoryStore
from ._define.poll import Pending as Pending
from ._define.poll import PollOptions as PollOptions
from ._define.poll import PollTask as PollTask
from ._define.question import Question as Question
from ._define.receive import ReceiveOptions as ReceiveOptions
from ._define.receive import ReceiveTask as ReceiveTask
from ._define.resources import PerRun as PerRun
from ._define.resources import Resource as Resource
from ._define.resources import Shared as Shared
from ._define.router import RouterTask as RouterTask
from ._define.split import Split as Split
from ._define.split import SplitOptions as SplitOptions
from ._define.split import SplitTask as SplitTask
from ._define.stepped import More as More
from ._define.stepped import SteppedTask as SteppedTask
from ._define.stream import CloseReason as CloseReason
from ._define.stream import StreamOptions as StreamOptions
from ._define.stream import StreamTask as StreamTask
from ._define.stream import Window as Window
from ._define.task import Task as Task
from ._define.timer import TimerTask as TimerTask
from ._engine.failure import FailureContext as FailureContext
from ._engine.failure import failure_context as failure_context
from ._engine.lifecycle import Resources as Resources
from ._errors import AttemptTimeout as AttemptTimeout
from ._errors import CanoError as CanoError
from ._errors import CircuitOpen as CircuitOpen
from ._errors import CompensationTimeout as CompensationTimeout
from ._errors import DataError as DataError
from ._errors import DataNotEncodable as DataNotEncodable
from ._errors import DataNotWritable as DataNotWritable
from ._errors import DataTooLarge as DataTooLarge
from ._errors import DataTypeMismatch as DataTypeMismatch
from ._errors import DefinitionError as DefinitionError
from ._errors import DrainTimeout as DrainTimeout
from ._errors import DuplicateRun as DuplicateRun
from ._errors import DuplicateSchedule as DuplicateSchedule
from ._errors import GroupClosed as GroupClosed
from ._errors import IllegalTransition as IllegalTransition
from ._errors import JournalError as JournalError
from ._errors import JournalUnavailable as JournalUnavailable
from ._errors import KeyNotFound as KeyNotFound
from ._errors import LeaseLost as LeaseLost
from ._errors import MailboxFull as MailboxFull
from ._errors import MessageError as MessageError
from ._errors import MessageNotAwaited as MessageNotAwaited
from ._errors import MessageRejected as MessageRejected
from ._errors import NoReply as NoReply
from ._errors import NotAtWork as NotAtWork
from ._errors import NotOwner as NotOwner
from ._errors import PollTimeout as PollTimeout
from ._errors import Problem as Problem
from ._errors import RateLimited as RateLimited
from ._errors import RecordedFailure as RecordedFailure
from ._errors import ResourceAmbiguous as ResourceAmbiguous
from ._errors import ResourceDuplicateKey as ResourceDuplicateKey
from ._errors import ResourceError as ResourceError
from ._errors import ResourceNotFound as ResourceNotFound
from ._errors import ResourceNotOpen as ResourceNotOpen
from ._errors import ResourceTypeMismatch as ResourceTypeMismatch
from ._errors import RestartCause as RestartCause
from ._errors import RetryExhausted as RetryExhausted
from ._errors import RollbackFailed as RollbackFailed
from ._errors import RunAlreadyEnded as RunAlreadyEnded
from ._errors import RunBlocked as RunBlocked
from ._errors import RunCancelled as RunCancelled
from ._errors import RunError as RunError
from ._errors import RunFailed as RunFailed
from ._errors import RunNotFound as RunNotFound
from ._errors import RunReleased as RunReleased
from ._errors import RuntimeClosed as RuntimeClosed
from ._errors import RuntimeNeeded as RuntimeNeeded
from ._errors import RunTimeout as RunTimeout
from ._errors import ScheduleBusy as ScheduleBusy
from ._errors import ScheduleClosed as ScheduleClosed
from ._errors import ScheduleError as ScheduleError
from ._errors import ScheduleNotFound as ScheduleNotFound
from ._errors import SchedulePaused as SchedulePaused
from ._errors import ScheduleTripped as ScheduleTripped
from ._errors import SourceNotClosed as SourceNotClosed
from ._errors import SplitFailed as SplitFailed
from ._errors import StatementFailed as StatementFailed
from ._errors import StoreError as StoreError
from ._errors import StoreTypeMismatch as StoreTypeMismatch
from ._errors import SupervisorGaveUp as SupervisorGaveUp
from ._errors import TaskError as TaskError
from ._errors import TeardownTimeout as TeardownTimeout
from ._errors import TooManyTransitions as TooManyTransitions
from ._errors import VersionMismatch as VersionMismatch
from ._errors import WorkflowNotFound as WorkflowNotFound
from ._observe.events import AttemptFailed as AttemptFailed
from ._observe.events import AttemptStarted as AttemptStarted
from ._observe.events import BranchEnded as BranchEnded
from ._observe.events import BranchStarted as BranchStarted
from ._observe.events import CircuitRejected as CircuitRejected
from ._observe.events import Committed as Committed
from ._observe.events import CompensationFinished as CompensationFinished
from ._observe.events import CompensationSkipped as CompensationSkipped
from ._observe.events import CompensationStarted as CompensationStarted
from ._observe.events import Event as Event
from ._observe.events import EventsLost as EventsLost
from ._observe.events import Progress as Progress
from ._observe.events import Published as Published
from ._observe.events import Released as Released
from ._observe.events import RetryScheduled as RetryScheduled
from ._observe.events import RunEnded as RunEnded
from ._observe.events import RunResumed as RunResumed
from ._observe.events import RunStarted as RunStarted
from ._observe.events import StateEntered as StateEntered
from ._observe.events import StepFinished as StepFinished
from ._observe.events import Stuck as Stuck
from ._observe.events import TaskFailed as TaskFailed
from ._observe.events import TaskSucceeded as TaskSucceeded
from ._observe.events import Waiting as Waiting
from ._observe.events import WindowFlushed as WindowFlushed
from ._observe.observer import Observer as Observer
from ._observe.rollback import Outstanding as Outstanding
from ._observe.rollback import Rollback as Rollback
from ._observe.status import RunStatus as RunStatus
from ._resilience import Backoff as Backoff
from ._resilience import CircuitBreaker as CircuitBreaker
from ._resilience import CircuitPolicy as CircuitPolicy
from ._resilience import CircuitState as CircuitState
from ._resilience import CircuitStatistics as CircuitStatistics
from ._resilience import Limiter as Limiter
from ._resilience import LimiterStatistics as LimiterStatistics
from ._resilience import MultiRateLimiter as MultiRateLimiter
from ._resilience import MultiStatistics as MultiStatistics
from ._resilience import Permit as Permit
from ._resilience import RateLimiter as RateLimiter
from ._resilience import Reservation as Reservation
from ._resilience import Retry as Retry
from ._resilience import RetryOn as RetryOn
from ._resilience import Tier as Tier
from ._resilience import WindowedRateLimiter as WindowedRateLimiter
from ._resilience import is_transient as is_transient
from ._runtime.event_stream import EventStream as EventStream
from ._runtime.handle import Run as Run
from ._runtime.result import RunResult as RunResult
from ._runtime.workflow import Workflow as Workflow

if _typing.TYPE_CHECKING:
    from ._service import Cron as Cron
    from ._service import Every as Every
    from ._service import Group as Group
    from ._service import Manual as Manual
    from ._service import Restart as Restart
    from ._service import RunInfo as RunInfo
    from ._service import Runtime as Runtime
    from ._service import RuntimeStatistics as RuntimeStatistics
    from ._service import Schedule as Schedule
    from ._service import ScheduleOptions as ScheduleOptions
    from ._service import Schedules as Schedules
    from ._service import ScheduleState as ScheduleState
    from ._service import ScheduleStatus as ScheduleStatus
    from ._service import StartOptions as StartOptions
    from ._service import open_runtime as open_runtime

__version__ = "0.1.0"

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "AttemptTimeout",
    "Backoff",
    "BatchOptions",
    "BatchResults",
    "BatchTask",
    "BranchEnded",
    "BranchOptions",
    "BranchResults",
    "BranchStarted",
    "BranchTask",
    "CanoError",
    "CircuitBreaker",
    "CircuitOpen",
    "CircuitPolicy",
    "CircuitRejected",
    "CircuitState",
    "CircuitStatistics",
    "CloseReason",
    "Committed",
    "CompensatableOptions",
    "CompensatableTask",
    "CompensationFinished",
    "CompensationSkipped",
    "CompensationStarted",
    "CompensationTimeout",
    "Cron",
    "DataError",
    "DataNotEncodable",
    "DataNotWritable",
    "DataTooLarge",
    "DataTypeMismatch",
    "DefinitionError",
    "DrainTimeout",
    "DuplicateRun",
    "DuplicateSchedule",
    "Event",
    "EventStream",
    "EventsLost",
    "Every",
    "FailureContext",
    "Group",
    "GroupClosed",
    "HealthLevel",
    "HealthStatus",
    "IllegalTransition",
    "ItemResult",
    "JoinRule",
    "JournalError",
    "JournalUnavailable",
    "KeyNotFound",
    "LeaseLost",
    "Limiter",
    "LimiterStatistics",
    "MailboxFull",
    "Manual",
    "MemoryStore",
    "MessageError",
    "MessageNotAwaited",
    "MessageRejected",
    "More",
    "MultiRateLimiter",
    "MultiStatistics",
    "NoReply",
    "NotAtWork",
    "NotOwner",
    "Observer",
    "Outstanding",
    "Pending",
    "PerRun",
    "Permit",
    "PollOptions",
    "PollTask",
    "PollTimeout",
    "Problem",
    "Progress",
    "Published",
    "Question",
    "RateLimited",
    "RateLimiter",
    "ReceiveOptions",
    "ReceiveTask",
    "RecordedFailure",
    "Released",
    "Reservation",
    "Resource",
    "ResourceAmbiguous",
    "ResourceDuplicateKey",
    "ResourceError",
    "ResourceNotFound",
    "ResourceNotOpen",
    "ResourceTypeMismatch",
    "Resources",
    "Restart",
    "RestartCause",
    "Retry",
    "RetryExhausted",
    "RetryOn",
    "RetryScheduled",
    "Rollback",
    "RollbackFailed",
    "RouterTask",
    "Run",
    "RunAlreadyEnded",
    "RunBlocked",
    "RunCancelled",
    "RunContext",
    "RunEnded",
    "RunError",
    "RunFailed",
    "RunInfo",
    "RunNotFound",
    "RunReleased",
    "RunResult",
    "RunResumed",
    "RunStarted",
    "RunStatus",
    "RunTimeout",
    "Runtime",
    "RuntimeClosed",
    "RuntimeNeeded",
    "RuntimeStatistics",
    "Schedule",
    "ScheduleBusy",
    "ScheduleClosed",
    "ScheduleError",
    "ScheduleNotFound",
    "ScheduleOptions",
    "SchedulePaused",
    "ScheduleState",
    "ScheduleStatus",
    "ScheduleTripped",
    "Schedules",
    "Shared",
    "SourceNotClosed",
    "Split",
    "SplitFailed",
    "SplitOptions",
    "SplitTask",
    "StartOptions",
    "StateEntered",
    "StatementFailed",
    "StepFinished",
    "SteppedTask",
    "StoreError",
    "StoreTypeMismatch",
    "StreamOptions",
    "StreamTask",
    "Stuck",
    "SupervisorGaveUp",
    "Task",
    "TaskConfig",
    "TaskError",
    "TaskFailed",
    "TaskOptions",
    "TaskSucceeded",
    "TeardownTimeout",
    "Tier",
    "TimerTask",
    "TooManyTransitions",
    "VersionMismatch",
    "Waiting",
    "Window",
    "WindowFlushed",
    "WindowedRateLimiter",
    "Workflow",
    "WorkflowNotFound",
    "failure_context",
    "is_transient",
    "open_runtime",
]


def _move_in() -> None:
    """Give what is public its public name, in messages and for pickles."""
    for name in __all__:
        if getattr(globals().get(name), "__module__", "").startswith(__name__ + "."):
            globals()[name].__module__ = __name__


_move_in()

if not _typing.TYPE_CHECKING:  # a type checker would take it for a promise of any name

    def __getattr__(name: str) -> object:
        """What `_service` has, all of it at once."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _service  # noqa: PLC0415  (that is the point)

        globals().update({public: value for public, value in vars(_service).items() if public in __all__})
        _move_in()
        return globals()[name]

    def __dir__() -> list[str]:
        """What is there, and what would come."""
        return sorted({*globals(), *__all__})
