"""Every error cano_trio raises of its own accord.

::

    CanoError
    |-- DefinitionError (ValueError)      a mistake in the code that defines a workflow
    |-- TaskError                         what an attempt, or all attempts, of a task came to
    |   |-- AttemptTimeout (TimeoutError)
    |   |   `-- PollTimeout
    |   |-- CompensationTimeout (TimeoutError)
    |   |-- DrainTimeout (TimeoutError)
    |   |-- SourceNotClosed
    |   |-- RetryExhausted
    |   |-- CircuitOpen
    |   |-- RateLimited
    |   |-- IllegalTransition
    |   |-- RecordedFailure
    |   |-- SplitFailed
    |   `-- DataError
    |       |-- DataNotEncodable
    |       |-- DataNotWritable
    |       |-- DataTypeMismatch (TypeError)
    |       `-- DataTooLarge
    |-- RunError                          how a whole run ended, seen from outside
    |   |-- RunAlreadyEnded
    |   |-- RunBlocked
    |   |   `-- VersionMismatch
    |   |-- RunCancelled
    |   |-- RunFailed
    |   |-- RunReleased
    |   |-- RunTimeout (TimeoutError)
    |   |-- GroupClosed (trio.ClosedResourceError)
    |   |-- RuntimeClosed (trio.ClosedResourceError)
    |   |-- RuntimeNeeded
    |   |-- SupervisorGaveUp
    |   |-- WorkflowNotFound (LookupError)
    |   |-- RollbackFailed (ExceptionGroup)
    |   `-- TooManyTransitions
    |-- MessageError                      a message that a run did not take
    |   |-- MailboxFull (trio.WouldBlock)
    |   |-- MessageNotAwaited
    |   |-- MessageRejected (TypeError)
    |   |-- NoReply
    |   `-- NotAtWork
    |-- ResourceError
    |   |-- ResourceNotFound (LookupError)
    |   |-- ResourceTypeMismatch (TypeError)
    |   |-- ResourceAmbiguous (LookupError)
    |   |-- ResourceNotOpen (RuntimeError)
    |   |-- ResourceDuplicateKey (ValueError)
    |   `-- TeardownTimeout (TimeoutError)
    |-- JournalError                      what is written down of runs, and who may write it
    |   |-- JournalUnavailable
    |   |-- LeaseLost
    |   |-- NotOwner
    |   |-- DuplicateRun (ValueError)
    |   |-- RunNotFound (LookupError)
    |   `-- StatementFailed
    |-- ScheduleError                     a schedule that does not do what it is asked for
    |   |-- ScheduleNotFound (LookupError)
    |   |-- DuplicateSchedule (ValueError)
    |   |-- ScheduleBusy
    |   |-- ScheduleTripped
    |   |-- SchedulePaused
    |   `-- ScheduleClosed (trio.ClosedResourceError)
    `-- StoreError                        MemoryStore
        |-- KeyNotFound (KeyError)
        `-- StoreTypeMismatch (TypeError)

An exception of the user's is never replaced by one of these: it is raised as it is, or stands as the ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Self, final

import msgspec
import trio
from typing_extensions import override


class CanoError(Exception):
    """The root of all errors of cano_trio; they pickle and copy with all that they tell."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild it from its message and its fields: its constructor takes other arguments than Exception's."""
        return _rebuilt, (type(self), self.args, dict(vars(self)))


def _rebuilt(kind: type[CanoError], args: tuple[Any, ...], fields: dict[str, Any]) -> CanoError:
    error = kind.__new__(kind, *args)
    error.args = args  # an OSError leaves that to its __init__
    vars(error).update(fields)
    return error


def _text_of(error: BaseException) -> str:
    """An error's text; an error of the user's may not even have one."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its __str__ raised
        return f"{type(error).__name__}, which has no text"


def qualified(kind: type) -> str:
    """The name of a class, with that of its module.

    >>> qualified(TimeoutError)
    'builtins:TimeoutError'
    """
    return f"{kind.__module__}:{kind.__qualname__}"


SHOWN = 20
"""How many states a line tells by their names."""


def names_of(states: Sequence[Enum]) -> str:
    """The names of states in one line, the first of them.

    >>> names_of(list(Enum("Step", "A B C")))
    'A, B, C'
    """
    shown = ", ".join(state.name for state in states[:SHOWN])
    return f"{shown} and {len(states) - SHOWN:,} more" if len(states) > SHOWN else shown


@final
class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake that `Workflow.validate` found.

    Args:
        code: stable, such as ``E07``; safe to search for and to match on.
        place: what it is about, a state's name or ``workflow``; ``PAY/CHARGE`` is a state of the child workflow in PAY.
        message: what is wrong, in a sentence.
        hint: how to mend it, in a sentence; may be empty.
        site: ``file:line`` of the definition, or empty.
        severity: an ``error`` stops the workflow from running, a ``warning`` is only shown.

    >>> print(Problem(code="E07", place="PARSE", message="no handler", hint="Write @workflow.task(Step.PARSE)."))
    E07 PARSE: no handler. Write @workflow.task(Step.PARSE).
    """

    code: str
    place: str
    message: str
    hint: str = ""
    site: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """One line: code, place, message, where, and the fix."""
        where = f" ({self.site})" if self.site else ""
        return f"{self.code} {self.place}: {self.message.rstrip('.')}{where}. {self.hint}".rstrip()


@final
class DefinitionError(CanoError, ValueError):
    """*Your* code defines a workflow that can't work; nothing has run.

    Args:
        problems: all that was found, at once, so that one reading mends the whole definition.

    >>> raise DefinitionError([Problem(code="E02", place="workflow", message="no exit states", hint="Pass exits=[...].")])
    Traceback (most recent call last):
    ...
    cano_trio.DefinitionError: E02 workflow: no exit states. Pass exits=[...].
    """

    def __init__(self, problems: Sequence[Problem], /) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def one(cls, code: str, place: str, message: str, *, hint: str = "", site: str = "") -> DefinitionError:
        """The error for a single problem (arguments as `Problem`'s)."""
        return cls([Problem(code=code, place=place, message=message, hint=hint, site=site)])


class TaskError(CanoError):
    """What one or all attempts of a task came to."""


class AttemptTimeout(TaskError, TimeoutError):
    """An attempt outlived its ``attempt_timeout``, or an item's its ``item_timeout``; the retry policy decides what follows (cano RET-8).

    Args:
        task: the task's name.
        limit: the timeout, in seconds.
    """

    def __init__(self, task: str, limit: float) -> None:
        super().__init__(f"{task}: the attempt took longer than its timeout of {limit:g} s")
        self.task = task
        self.limit = limit


@final
class CompensationTimeout(TaskError, TimeoutError):
    """A compensation was cut off, because the workflow's ``compensation_timeout`` for all of them was over.

    ``__cause__`` is what its latest attempt failed with, if one has.

    Args:
        task: the compensation's name.
        limit: the timeout, in seconds.
    """

    def __init__(self, task: str, limit: float) -> None:
        super().__init__(f"{task} was cut off: the compensation_timeout of {limit:g} s for the whole rollback is over")
        self.task = task
        self.limit = limit


@final
class PollTimeout(AttemptTimeout):
    """What a poll looks for was not there within its ``attempt_timeout``.

    Its ``__cause__`` is what the last look failed with, if `max_errors` let that pass.

    Args:
        task: the task's name.
        limit: the timeout, in seconds.
        looks: how often it looked; one that the timeout cut off counts.
    """

    def __init__(self, task: str, limit: float, looks: int) -> None:
        super().__init__(task, limit)
        text = (
            f"{task}: nothing was there within its attempt_timeout of {limit:g} s, in {looks:,} look{'s' * (looks != 1)}. "
            "Allow more time, or say where this leads, with on_error={PollTimeout: ...}."
        )
        Exception.__init__(self, text)  # anew: it can say more than any timeout
        self.looks = looks


@final
class DrainTimeout(TaskError, TimeoutError):
    """A cancelled stream was cut off: its ``drain_timeout`` was over before it had come to its end.

    Args:
        task: the name of the stream, or of its part.
        limit: the timeout, in seconds.
    """

    def __init__(self, task: str, limit: float) -> None:
        super().__init__(
            f"{task} was cut off: the run was cancelled, and the stream's drain_timeout of {limit:g} s is over. Outputs "
            "that were not flushed yet are dropped, and their cursor is not kept."
        )
        self.task = task
        self.limit = limit


@final
class SourceNotClosed(TaskError):
    """The source of a stream could not be closed.

    Args:
        task: the name of the stream's ``open``.
        why: what it did instead.
    """

    def __init__(self, task: str, why: str) -> None:
        super().__init__(f"the source that {task} opened could not be closed: {why}")
        self.task = task
        self.why = why


@final
class RetryExhausted(TaskError):
    """Every attempt that the retry policy allows has failed; ``__cause__`` is the last failure (cano RET-7).

    Raised only if more than one attempt was allowed: a single attempt fails with its own exception.

    Args:
        task: the task's name.
        attempts: how many were made.
        last: the last failure.
    """

    def __init__(self, task: str, attempts: int, last: BaseException) -> None:
        super().__init__(f"{task} failed {attempts} times, the last time with {_text_of(last)}")
        self.task = task
        self.attempts = attempts
        self.last = last


@final
class CircuitOpen(TaskError):
    """A circuit breaker refused the call; the task was not called (cano CIR-3, CIR-4).

    Args:
        breaker: the breaker's name.
        retry_after: seconds until it may let a trial call through; 0 when its trial calls are all taken.
        trials_taken: the breaker is half-open and its trial calls are all in flight.
    """

    def __init__(self, breaker: str, retry_after: float, *, trials_taken: bool = False) -> None:
        why = (
            "half-open, and all its trial calls are in flight"
            if trials_taken
            else f"open for another {retry_after:g} s"
        )
        super().__init__(f"circuit breaker {breaker!r} is {why}")
        self.breaker = breaker
        self.retry_after = retry_after
        self.trials_taken = trials_taken


@final
class RateLimited(TaskError):
    """A rate limiter has no room now; a retry waits ``retry_after`` seconds instead of its policy's delay (cano RAT-10).

    Args:
        tier: the limiter's or the binding tier's name.
        retry_after: seconds until the same call could pass.
    """

    def __init__(self, tier: str, retry_after: float) -> None:
        super().__init__(f"rate limited by {tier!r}: try again after {retry_after:g} s")
        self.tier = tier
        self.retry_after = retry_after


@final
class IllegalTransition(TaskError):
    """A task returned something that its return annotation does not name; never retried.

    Args:
        task: the task's name.
        state: the state whose task it is.
        returned: what it returned.
        allowed: the states that its annotation names.
        site: ``file:line`` of the task.
    """

    def __init__(self, task: str, state: Enum, returned: object, allowed: Sequence[Enum], site: str) -> None:
        names = ", ".join(f"{type(target).__name__}.{target.name}" for target in allowed) or "no state"
        super().__init__(
            f"{task} ({site}) returned {returned!r} in {state.name}, but its return annotation names {names}. "
            "Return one of these, or add the state to the annotation."
        )
        self.task = task
        self.state = state
        self.returned = returned
        self.allowed: tuple[Enum, ...] = tuple(allowed)


@final
class SplitFailed(TaskError):
    """The branches of a split did not come to enough; ``__cause__`` is the first failure of a branch, if there was one.

    Args:
        task: the split's name.
        rule: what had to be reached, in words.
        results: what the branches came to, as `BranchResults`.
        successes: what branches returned, by name.
        failures: what branches failed with, by name, in the order in which they failed.
        missing: the branches that did not finish.
        timeout: seconds after which the others were cut off; None if they were not.
    """

    def __init__(
        self,
        task: str,
        rule: str,
        *,
        results: Mapping[str, Any],
        successes: Mapping[str, Any],
        failures: Mapping[str, BaseException],
        missing: Sequence[str],
        timeout: float | None,
    ) -> None:
        self.task = task
        self.rule = rule
        self.results = results
        self.successes: dict[str, Any] = dict(successes)
        self.failures: dict[str, BaseException] = dict(failures)
        self.missing: tuple[str, ...] = tuple(missing)
        self.timeout = timeout
        late = "" if timeout is None else f" within {timeout:g} s"
        told = [f"{len(successes)} succeeded{late}"]
        told += [f"{name} failed with {_text_of(failure)}" for name, failure in list(self.failures.items())[:_SHOWN]]
        told += [f"{more} more failed"] if (more := len(failures) - _SHOWN) > 0 else []
        told += [f"{len(missing)} did not finish"] if missing else []
        super().__init__(f"{task} needs {rule}: {'; '.join(told)}")


_SHOWN = 3
"""Failures of branches that a message tells of (cano SPL-5); the error has them all."""


@final
class RecordedFailure(TaskError):
    """What work failed with in a process that is gone, as the journal tells it; the exception itself ended with it.

    Args:
        type_name: the name of the exception's class.
        message: what it said.
        traceback: where it was raised, as text.
        notes: its ``__notes__``.
        kinds: the classes that an ``on_error`` would have caught it by, each as ``module:name``.

    >>> failure = RecordedFailure("TimeoutError", "no answer", kinds=["builtins:TimeoutError", "builtins:OSError"])
    >>> failure.is_of(OSError), failure.is_of((LookupError, ValueError))
    (True, False)
    """

    def __init__(
        self, type_name: str, message: str, traceback: str = "", notes: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        self.notes: tuple[str, ...] = tuple(notes)
        self.kinds: tuple[str, ...] = tuple(kinds)

    def is_of(self, kind: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
        """Whether the exception was of a class, or one of several; a group or spent retries also if what failed in them was.

        Args:
            kind: the class, or a tuple of them.
        """
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return any(issubclass(RecordedFailure, one) or self._is_named(one) for one in kinds)

    def _is_named(self, kind: type[BaseException]) -> bool:
        if not self.kinds:  # what an older version has written
            return self.type_name == kind.__name__
        # A program that is run itself is a module of another name where it is imported.
        if kind.__module__ == "__main__":
            return any(one.endswith(f":{kind.__qualname__}") for one in self.kinds)
        return qualified(kind) in self.kinds or f"__main__:{kind.__qualname__}" in self.kinds


class DataError(TaskError):
    """Something is wrong with a run's data."""


@final
class DataNotEncodable(DataError):
    """A value can't be written down so that it comes back the same.

    Args:
        path: where in the data, such as ``order.lines[3].price``.
        reason: what is wrong with the value there.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@final
class DataNotWritable(DataError):
    """A method changed the run's data where it may only read them.

    Args:
        task: the task's name, with its method.
        path: the field that was changed.
    """

    def __init__(self, task: str, path: str) -> None:
        super().__init__(
            f"{task} changed {path}, but it may only read the run's data: it may be called many times, or at once. "
            "Return what you found, and write it where the state ends."
        )
        self.task = task
        self.path = path


@final
class DataTypeMismatch(DataError, TypeError):
    """A run was given data of another type than its workflow's.

    Args:
        workflow: the workflow's name.
        wanted: the type of its data; None if it takes none.
        found: the type of what was given.
        subclass: that is a subclass of `wanted`, and JSON would give back `wanted`.
    """

    def __init__(self, workflow: str, wanted: str | None, found: str, *, subclass: bool = False) -> None:
        takes = f"data of type {wanted}" if wanted else "no data"
        given, fix = found, f"Pass {wanted}(...)."
        if wanted is None:
            fix = f"Define it with Workflow(..., data={found})."
        elif subclass:
            given = f"{found}, a subclass, which would come back from JSON as a mere {wanted}"
            fix = f"Pass {wanted}(...), or define it with Workflow(..., data={found})."
        elif wanted == found:
            given = "an object of another class of that name"
            fix = "Pass one of the class it was defined with; has a module been loaded twice?"
        super().__init__(f"workflow {workflow!r} takes {takes}, but was given {given}. {fix}")
        self.workflow = workflow
        self.wanted = wanted
        self.found = found
        self.subclass = subclass


@final
class DataTooLarge(DataError):
    """A run's data, or a cursor, have outgrown what is committed with every transition.

    Args:
        size: bytes as encoded.
        limit: bytes allowed.
        what: what is too large: the data's class, or ``cursor``.
    """

    def __init__(self, size: int, limit: int, what: str) -> None:
        super().__init__(
            f"{what}: {size:,} bytes encoded are more than the {limit:,} allowed. Keep large things in a "
            "resource (a file, a database) and only their names here."
        )
        self.size = size
        self.limit = limit
        self.what = what


class RunError(CanoError):
    """How a whole run ended, seen from outside."""


@final
class RunCancelled(RunError):
    """The run was cancelled by its handle; what it had done has been undone.

    Args:
        reason: why, as the one who cancelled it said.
    """

    def __init__(self, reason: str | None) -> None:
        super().__init__(f"the run was cancelled{f': {reason}' if reason else ''}")
        self.reason = reason


@final
class RunTimeout(RunError, TimeoutError):
    """The run took longer than its workflow's ``timeout``; what it had done has been undone (cano WFL-19).

    Args:
        elapsed: seconds since it began.
        limit: the workflow's ``timeout``, in seconds.
    """

    def __init__(self, elapsed: float, limit: float) -> None:
        super().__init__(f"the run took longer than its timeout of {limit:g} s")
        self.elapsed = elapsed
        self.limit = limit


@final
class RollbackFailed(RunError, ExceptionGroup[Exception]):
    """A run failed, and not all that it had done could be undone: it needs an operator (cano SAG-8).

    Its exceptions are the failure of the run, then those of the compensations in the order in which they were tried.
    `failure_context` tells what was undone, and with which receipts what was not can be undone by hand.
    """

    left: tuple[Enum, ...] = ()
    """The states for whose compensation there was no time."""

    @classmethod
    def of(cls, original: Exception, failures: Sequence[Exception], left: Sequence[Enum]) -> Self:
        """The error of a run's failure, the failures of compensations, and the states that nobody came to.

        It never holds one of its own kind, such as that of a workflow which a task ran: it takes over what that one holds
        (cano ERR-6).
        """
        number = len(failures)
        told = [f"{number} compensation{'s' * (number > 1)} failed"] if failures else []
        told += [f"there was no time for {names_of(left)}"] if left else []
        flat = [
            part
            for error in (original, *failures)
            for part in (error.exceptions if isinstance(error, cls) else [error])
        ]
        error = cls(f"the run failed, and was not rolled back in full: {' and '.join(told)}", flat)
        error.left = (*(original.left if isinstance(original, cls) else ()), *left)
        return error

    @override
    def derive(self, excs: Any, /) -> Any:
        """A part of it, as `split` makes one, and trio where a scope around it was cancelled; it tells the same."""
        part = type(self)(self.message, excs)
        vars(part).update(vars(self))
        return part

    @property
    def original(self) -> Exception:
        """What the run itself failed with."""
        return self.exceptions[0]


@final
class TooManyTransitions(RunError):
    """A run made more transitions than its workflow's ``max_transitions``.

    Args:
        limit: the workflow's ``max_transitions``.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the run made {limit} transitions without reaching an exit state. If that is no endless loop, raise "
            "max_transitions."
        )
        self.limit = limit


@final
class RunAlreadyEnded(RunError):
    """A run is over, or undoes what it did: it takes no more messages, and enters no more states.

    Args:
        run_id: the run.
        status: where it stands, such as ``completed``.
        what: what it does not do any more.
        hint: what can be done instead.
    """

    def __init__(self, run_id: str, status: str, what: str = "takes no more messages", hint: str = "") -> None:
        super().__init__(f"run {run_id!r} {what}: it is {status}{hint and f'. {hint}'}")
        self.run_id = run_id
        self.status = status
        self.what = what


@final
class RunReleased(RunError):
    """A run of the journal has stopped in this process; it goes on where it is claimed next.

    Args:
        run_id: the run.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {run_id!r} was released: it does not go on in this process. "
            "Nothing of it is lost: resume it, here or in another process."
        )
        self.run_id = run_id


@final
class RunFailed(RunError):
    """A run of the journal has ended otherwise than in an exit state.

    Args:
        run_id: the run.
        status: where it stands, such as ``failed``.
        reason: what it failed with, as text.
        hint: what can be done about it.
    """

    def __init__(self, run_id: str, status: str, reason: str | None, hint: str = "") -> None:
        why = "" if reason is None else f": {reason}"
        super().__init__(f"run {run_id!r} is {status}{why}. {hint}".rstrip())
        self.run_id = run_id
        self.status = status
        self.reason = reason


class RunBlocked(RunError):
    """A run of the journal can't go on with this code; nothing of it is lost.

    Args:
        run_id: the run.
        reason: the kind of obstacle: ``version``, ``data``, ``state``, ``crash_loop``.
        message: what stands in its way, and what can be done.
    """

    def __init__(self, run_id: str, reason: str, message: str) -> None:
        super().__init__(f"run {run_id!r} is blocked ({reason}): {message}")
        self.run_id = run_id
        self.reason = reason
        self.message = message


@final
class VersionMismatch(RunBlocked):
    """A run was written by a version of its workflow that this one does not go on with.

    Args:
        run_id: the run.
        stored: the version that wrote it.
        expected: this workflow's version.
    """

    def __init__(self, run_id: str, stored: int, expected: int) -> None:
        if stored > expected:
            message = f"version {stored} wrote it, and this code is version {expected}. Run the newer code."
        else:
            message = (
                f"version {stored} wrote it, and this code is version {expected}. If it can go on with it, say so: "
                f"Workflow(..., accepts=[{stored}]), with migrate= if its data have changed."
            )
        super().__init__(run_id, "version", message)
        self.stored = stored
        self.expected = expected


@final
class RuntimeNeeded(RunError):
    """Something was asked of a run that only a runtime can do.

    Args:
        run_id: the run.
        verb: what was to be done with it, such as ``paused``.
    """

    def __init__(self, run_id: str, verb: str) -> None:
        super().__init__(
            f"run {run_id!r} can't be {verb}: it is carried out by one task, and not written down by a runtime. Start it "
            "with `async with open_runtime(journal=...) as runtime: run = await runtime.start(...)`."
        )
        self.run_id = run_id
        self.verb = verb


@final
class RuntimeClosed(RunError, trio.ClosedResourceError):
    """Something was asked of a runtime whose block was left, or is being left.

    Args:
        what: what was asked.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: the runtime is closed. Do it inside `async with open_runtime(...)`.")
        self.what = what


@final
class GroupClosed(RunError, trio.ClosedResourceError):
    """A run was started in a group whose block was left, or is being left."""

    def __init__(self) -> None:
        super().__init__("the group is closed. Start runs inside `async with runtime.open_group(...) as group:`.")


@final
class RestartCause(msgspec.Struct, frozen=True, kw_only=True):
    """One failure of a supervised run, because of which it was begun again, or was not any more.

    Args:
        run_id: the run.
        time: when it failed, in seconds of trio's clock.
        state: the state in which it failed.
        error: what it failed with.
    """

    run_id: str
    time: float
    state: Enum
    error: Exception

    def __str__(self) -> str:
        """One line."""
        return f"{self.run_id} in {self.state.name} at {self.time:g}: {_text_of(self.error)}"


@final
class SupervisorGaveUp(RunError):
    """A supervisor begins no run again any more; ``__cause__`` is what the last one failed with.

    Args:
        run_id: the run whose failure was the last.
        reason: why it is not begun again.
        history: the failures that counted, the last one last.
    """

    def __init__(self, run_id: str, reason: str, history: Sequence[RestartCause]) -> None:
        told = "".join(f"\n  {cause}" for cause in history)
        super().__init__(f"run {run_id!r} has failed, and is not begun again: {reason}.{told}")
        self.run_id = run_id
        self.reason = reason
        self.history: tuple[RestartCause, ...] = tuple(history)


@final
class WorkflowNotFound(RunError, LookupError):
    """A runtime was asked for a run of a workflow that it does not know.

    Args:
        name: the workflow's name.
        known: the names of those that it knows.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"this runtime knows no workflow {name!r}, but {', '.join(map(repr, known)) or 'none'}. "
            "Name it when the runtime is opened, so that its runs are found after a crash: open_runtime(workflows=[...])."
        )
        self.name = name
        self.known: tuple[str, ...] = tuple(known)


class MessageError(CanoError):
    """A run did not take a message."""


@final
class MailboxFull(MessageError, trio.WouldBlock):
    """A run's mailbox has no room for a message now.

    Args:
        run_id: the run.
        size: how many messages it holds.
    """

    def __init__(self, run_id: str, size: int) -> None:
        super().__init__(
            f"the mailbox of run {run_id!r} is full: {size:,} messages wait there for a state that takes them. "
            "Wait for room with `await run.send(...)`."
        )
        self.run_id = run_id
        self.size = size


@final
class MessageRejected(MessageError, TypeError):
    """No state of the run's workflow takes messages of that type.

    Args:
        run_id: the run.
        found: the type of the message.
        wanted: the types that its states take.
    """

    def __init__(self, run_id: str, found: str, wanted: Sequence[str]) -> None:
        takes = (
            f"they take {', '.join(wanted)}" if wanted else "none of them is a receive, or has a ctx: RunContext[...]"
        )
        super().__init__(f"no state of run {run_id!r} takes a message of type {found}: {takes}")
        self.run_id = run_id
        self.found = found
        self.wanted: tuple[str, ...] = tuple(wanted)


@final
class MessageNotAwaited(MessageError):
    """A message was sent on the condition that the run waits for it, and it does not.

    Args:
        run_id: the run.
        kind: the message's type.
    """

    def __init__(self, run_id: str, kind: str) -> None:
        super().__init__(f"run {run_id!r} does not wait for a {kind} at the moment, and it was not sent")
        self.run_id = run_id
        self.kind = kind


@final
class NoReply(MessageError):
    """There will be no reply to a question.

    Args:
        run_id: the run that was asked.
        kind: the question's type.
        reason: why there is none.
    """

    def __init__(self, run_id: str, kind: str, reason: str) -> None:
        super().__init__(f"run {run_id!r} gives no reply to {kind}: {reason}")
        self.run_id = run_id
        self.kind = kind
        self.reason = reason


@final
class NotAtWork(MessageError):
    """A run was asked that is not at work in this process, which alone hears its replies.

    Args:
        run_id: the run.
        reason: where it is.
    """

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(
            f"run {run_id!r} can't be asked from here: {reason}. Only the process that carries it out hears a reply; to "
            "reach it anywhere, send() it a message."
        )
        self.run_id = run_id
        self.reason = reason


class ResourceError(CanoError):
    """Something is wrong with the resources a workflow was given."""


@final
class ResourceNotFound(ResourceError, LookupError):
    """There is no such resource (cano RES-2).

    Args:
        wanted: the key or type asked for, as text.
        near: what there is instead, as text, nearest first.
    """

    def __init__(self, wanted: str, near: Sequence[str] = ()) -> None:
        there = f" There are: {', '.join(near)}." if near else " There are no resources at all."
        super().__init__(f"no resource {wanted}.{there}")
        self.wanted = wanted
        self.near: tuple[str, ...] = tuple(near)


@final
class ResourceTypeMismatch(ResourceError, TypeError):
    """The resource of that key is of another type (cano RES-2).

    Args:
        key: its key.
        wanted: the type asked for.
        found: the type it has.
    """

    def __init__(self, key: str, wanted: str, found: str) -> None:
        super().__init__(f"resource {key!r} is a {found}, not a {wanted}")
        self.key = key
        self.wanted = wanted
        self.found = found


@final
class ResourceAmbiguous(ResourceError, LookupError):
    """Several resources fit, and nothing says which one is meant.

    Args:
        wanted: the type asked for, as text.
        found: the keys of those that fit.
    """

    def __init__(self, wanted: str, found: Sequence[str]) -> None:
        super().__init__(f"{len(found)} resources are a {wanted}: {', '.join(found)}. Name one of them.")
        self.wanted = wanted
        self.found: tuple[str, ...] = tuple(found)


@final
class ResourceNotOpen(ResourceError, RuntimeError):
    """The resource exists only while the resources are open.

    Args:
        key: its key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"resource {key!r} is not open. Use it in a task, or inside `async with resources:`.")
        self.key = key


@final
class TeardownTimeout(ResourceError, TimeoutError):
    """Tearing a resource down took too long and was cut off.

    Args:
        key: its key.
        limit: what it was given, in seconds.
    """

    def __init__(self, key: str, limit: float) -> None:
        super().__init__(f"tearing down resource {key!r} took more than {limit:g} s and was cut off")
        self.key = key
        self.limit = limit


@final
class ResourceDuplicateKey(ResourceError, ValueError):
    """There already is a resource of that key (cano RES-1).

    Args:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"there already is a resource {key!r}. Give the second one another key.")
        self.key = key


class JournalError(CanoError):
    """The journal failed, or refuses what it was asked for. What it acknowledged before is on disk."""


@final
class JournalUnavailable(JournalError):
    """The journal could not write for now, and has written nothing of it: the disk is full, or another process holds it.

    Args:
        path: its file.
        reason: what it said.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"journal {path} can't be written for now: {reason}. Nothing was written; it may be tried again."
        )
        self.path = path
        self.reason = reason


@final
class LeaseLost(JournalError):
    """Another process has taken the run over, and nothing was written: whoever meets this stops, and undoes nothing.

    Args:
        run_id: the run; None for a whole process.
        owner: the process whose write was refused.
        seq: the visit it was to write.
    """

    def __init__(self, run_id: str | None, owner: str, seq: int | None = None) -> None:
        what = "its runs" if run_id is None else f"run {run_id!r}"
        at = "" if seq is None else f" at step {seq}"
        super().__init__(f"process {owner} no longer holds {what}: its write{at} was refused, and nothing was written")
        self.run_id = run_id
        self.owner = owner
        self.seq = seq


@final
class DuplicateRun(JournalError, ValueError):
    """There is, or was, a run of that id.

    Args:
        run_id: the id.
        status: where that run stands or stood, such as ``completed``.
    """

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(
            f"there already is a run {run_id!r}, {status}. Give the new one another id, or resume that one."
        )
        self.run_id = run_id
        self.status = status


@final
class RunNotFound(JournalError, LookupError):
    """The journal has no run of that id.

    Args:
        run_id: the id.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the journal has no run {run_id!r}. `runs` lists those there are.")
        self.run_id = run_id


@final
class NotOwner(JournalError):
    """Another living process holds the run.

    Args:
        run_id: the run.
        owner: the process that holds it.
    """

    def __init__(self, run_id: str, owner: str | None) -> None:
        super().__init__(
            f"run {run_id!r} is held by another process, {owner}, which is alive: it goes on there. "
            "It can be claimed when that process ends or releases it."
        )
        self.run_id = run_id
        self.owner = owner


@final
class StatementFailed(JournalError):
    """SQL of the user's that was to happen together with a transition failed, and with it the transition.

    Args:
        statement: the SQL.
        reason: what the journal said.
    """

    def __init__(self, statement: str, reason: str) -> None:
        super().__init__(f"the statement {statement!r} failed: {reason}. Nothing of its transition was written.")
        self.statement = statement
        self.reason = reason


class ScheduleError(CanoError):
    """A schedule does not do what it is asked for."""


@final
class ScheduleNotFound(ScheduleError, LookupError):
    """There is no schedule of that name.

    Args:
        name: the name.
        there: the names of those there are.
    """

    def __init__(self, name: str, there: Sequence[str] = ()) -> None:
        known = f"There are: {', '.join(map(repr, there))}." if there else "There are none."
        super().__init__(f"there is no schedule {name!r}. {known}")
        self.name = name
        self.there: tuple[str, ...] = tuple(there)


@final
class DuplicateSchedule(ScheduleError, ValueError):
    """There already is a schedule of that name (cano SCH-1).

    Args:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there already is a schedule {name!r}. Give the second one another name, or remove the first one before."
        )
        self.name = name


@final
class ScheduleBusy(ScheduleError):
    """A run of the schedule goes on: its ``overlap`` lets no other one be triggered now (cano SCH-6), or it can't be removed.

    Args:
        name: the schedule.
        runs: the ids of the runs that go on.
        waiting: how many firings wait for them already.
        why: what stands in the way, and what can be done; by default, of one that was to be triggered.
    """

    def __init__(self, name: str, runs: Sequence[str], waiting: int = 0, why: str | None = None) -> None:
        if why is not None:
            pass
        elif waiting:
            why = f"{waiting} wait for it already, which is its queue_limit. Trigger it later, or raise the limit."
        else:
            why = "its overlap is 'skip'. Wait for that run, or define it with overlap='queue'."
        super().__init__(f"run {', '.join(map(repr, runs))} of schedule {name!r} goes on, and {why}")
        self.name = name
        self.runs: tuple[str, ...] = tuple(runs)
        self.waiting = waiting


@final
class ScheduleTripped(ScheduleError):
    """Too many runs of the schedule have failed in a row: it fires nothing before it is reset (cano SCH-7).

    Args:
        name: the schedule.
        streak: how many failures there were.
        last_error: what the latest of them was, as text.
    """

    def __init__(self, name: str, streak: int, last_error: str | None) -> None:
        last = f", the last time with {last_error}" if last_error else ""
        super().__init__(
            f"schedule {name!r} has failed {streak} times in a row{last}. Reset it before it can fire again."
        )
        self.name = name
        self.streak = streak
        self.last_error = last_error


@final
class SchedulePaused(ScheduleError):
    """The schedule is paused: it fires nothing before it is resumed.

    Args:
        name: the schedule.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"schedule {name!r} is paused. Resume it before it can fire again.")
        self.name = name


@final
class ScheduleClosed(ScheduleError, trio.ClosedResourceError):
    """Nothing fires any more, or yet: the runtime of the schedule is not open.

    Args:
        name: the schedule.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"schedule {name!r} can't be used: its runtime is closing or closed. Use it inside `async with open_runtime(...)`."
        )
        self.name = name


class StoreError(CanoError):
    """Something is wrong with what a `MemoryStore` was asked for."""


@final
class KeyNotFound(StoreError, KeyError):
    """The store holds nothing under that key (cano MEM-2).

    Args:
        key: the key.
        near: keys that look like it.
    """

    def __init__(self, key: str, near: Sequence[str] = ()) -> None:
        there = f". Did you mean {' or '.join(map(repr, near))}?" if near else ""
        super().__init__(f"key {key!r} not found in the store{there}")
        self.key = key
        self.near: tuple[str, ...] = tuple(near)

    def __str__(self) -> str:
        """The message (KeyError would print its repr)."""
        return str(self.args[0])


@final
class StoreTypeMismatch(StoreError, TypeError):
    """The value under that key is of another type (cano MEM-2, MEM-4).

    Args:
        key: the key.
        wanted: the type asked for.
        found: the type it has.
    """

    def __init__(self, key: str, wanted: str, found: str) -> None:
        super().__init__(f"the store holds a {found} under {key!r}, not a {wanted}")
        self.key = key
        self.wanted = wanted
        self.found = found
