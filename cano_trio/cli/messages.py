"""The message that is sent to a run, from what was typed."""

from __future__ import annotations

from typing import Any

from .._define.resources import Elsewhere
from .._engine.program import Program
from .._runtime.workflow import Workflow
from .refusal import Refused, did_you_mean
from .run_data import decoded, source_of


def read_message(workflow: Workflow[Any, Any], type_: str, given: str) -> object:
    """The message of a type that a JSON text is.

    Args:
        workflow: that of the run it is for.
        type_: its class's name.
        given: the JSON, or ``@FILE``, or ``-`` for stdin.

    Raises:
        Refused: no state of the workflow takes such messages, or the JSON does not fit.
    """
    known = {kind.__name__: kind for kind in Program.of(workflow, Elsewhere()).takes}
    if not known:
        raise Refused(f"workflow {workflow.name!r} takes no messages")
    if type_ not in known:
        raise Refused(f"{type_!r} is no message of workflow {workflow.name!r}{did_you_mean(type_, known, 'It takes')}")
    return decoded(known[type_], source_of(given), "the message")
