"""What the command says about a run that is over, and about a definition that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import asdict

from .._engine.failure import failure_context
from .._errors import DefinitionError, Problem
from .._journal.codec import JsonCodec, codec_for
from .._journal.difference import fields_of
from .._observe.rollback import Rollback
from .._runtime.workflow import Workflow
from .running import Outcome
from .wording import came_of, count, message_of, one_line, path_of, place, user_frame

CAUSES = 10
"""Lines about what an error came of."""


def result_text(state: str, data: Any) -> str:
    """The exit state, and the data under it, a line for each field.

    >>> print(result_text("DONE", {"words": 4}))
    DONE
    words: 4
    """
    if data is None:
        return state
    parts = fields_of(data)
    lines = [repr(data)] if parts is None else [f"{_field(name)}: {value!r}" for name, value in parts]
    return "\n".join([state, *lines])


def _field(reached: str) -> str:
    return reached.strip("[]'\".")


def failure_text(error: Exception) -> str:
    """A failure in a few lines: what, from what, in which state, at which line of the user's."""
    if isinstance(error, DefinitionError) and failure_context(error) is None:
        return "\n".join([f"Error: the workflow can't run: {count(len(error.problems), 'problem')}", *_indented(error)])
    return "\n".join([f"Error: {one_line(error)}", *(f"  {line}" for line in _failure_lines(error))])


def rollback_text(rollback: Rollback) -> str:
    """What was undone and what was not, a line for each kind.

    >>> from enum import Enum
    >>> Step = Enum("Step", "PAY SHIP")
    >>> print(rollback_text(Rollback(undone=((Step.SHIP, None),), failed=((Step.PAY, OSError("no answer")),))))
    undone: SHIP
    not undone: PAY (OSError: no answer)
    """
    left = [state.name for state in rollback.left]
    lines = {
        "undone": [state.name for state, _ in rollback.undone],
        "not undone": [f"{state.name} ({one_line(error)})" for state, error in rollback.failed],
        "not undone, for want of time": left,
        "in doubt": [state.name for state in rollback.in_doubt],
    }
    return "\n".join(f"{words}: {', '.join(names)}" for words, names in lines.items() if names)


def _indented(error: DefinitionError) -> Iterator[str]:
    return (f"  {problem}" for problem in error.problems)


def _failure_lines(error: Exception) -> Iterator[str]:
    causes = came_of(error)
    yield from (f"from {one_line(cause)}" for cause in causes[:CAUSES])
    if len(causes) > CAUSES:
        yield f"from {len(causes) - CAUSES:,} more"
    context = failure_context(error)
    if context is not None:
        path = path_of(state.name for state in context.path)
        yield f"in state {context.state.name} after {count(context.attempts, 'attempt')}, path {path}"
    if frame := user_frame(error):
        yield f"at {place(frame.filename, frame.lineno or 0)} in {frame.name}: {frame.line}"


def document(workflow: Workflow[Any, Any], outcome: Outcome) -> str:
    """A run as one JSON document."""
    course, result = outcome.course, outcome.result
    path = [state.name for state in (course.path if result is None else result.path)]
    return json_text(
        {
            "run_id": outcome.run_id,
            "workflow": workflow.name,
            "status": "released" if outcome.released else outcome.status.value,
            "state": path[-1] if path else None,
            "path": path,
            "elapsed": course.elapsed if result is None else result.elapsed,
            "data": None if result is None else _data(workflow.data, result.data),
            "error": None if outcome.error is None else failure_document(outcome.error),
            "rollback": course.rollback and rollback_document(course.rollback),
        }
    )


def rollback_document(rollback: Rollback) -> dict[str, Any]:
    """What was undone and what was not, for JSON."""
    return {
        "undone": [state.name for state, _ in rollback.undone],
        "failed": [{"state": state.name, **_named(error)} for state, error in rollback.failed],
        "left": [state.name for state in rollback.left],
        "in_doubt": [state.name for state in rollback.in_doubt],
        "elapsed": rollback.elapsed,
    }


def _data(type_: Any, data: Any) -> Any:
    """The data as JSON; what JSON can't hold as its repr."""
    if type_ is None:
        return None
    codec = codec_for(type_)
    if isinstance(codec, JsonCodec):
        return msgspec.Raw(codec.pack(data))
    try:
        return msgspec.Raw(msgspec.json.encode(data, enc_hook=repr))
    except (TypeError, ValueError, RecursionError):
        return repr(data)


def failure_document(error: BaseException) -> dict[str, Any]:
    """A failure, with what it came of and where, for JSON."""
    context = failure_context(error)
    frame = user_frame(error)
    return {
        **_named(error),
        "causes": [_named(cause) for cause in came_of(error)],
        "state": context and context.state.name,
        "attempts": context and context.attempts,
        "at": frame and place(frame.filename, frame.lineno or 0),
    }


def _named(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__qualname__, "message": message_of(error)}


def problems_document(
    workflow: str, states: int, tasks: int, problems: Sequence[Problem], blocked: Mapping[str, str] | None = None
) -> str:
    """What is wrong with a workflow, and what stands in the way of its runs if that was asked, as one JSON document."""
    shown = [asdict(problem) for problem in problems]
    ok = not errors_of(problems) and not blocked
    found = {"workflow": workflow, "ok": ok, "states": states, "tasks": tasks, "problems": shown}
    return json_text(found if blocked is None else {**found, "blocked": blocked})


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that stop a workflow from running."""
    return [problem for problem in problems if problem.severity == "error"]


def json_text(what: object) -> str:
    """A JSON document."""
    return msgspec.json.encode(what).decode()
