"""The ids of runs."""

from __future__ import annotations

import itertools
import os

from .._define.checks import check_text

_process = os.urandom(4).hex()
_count = itertools.count(1)


def made_up(workflow: str) -> str:
    """An id that no run had before."""
    return f"{workflow}-{_process}-{next(_count)}"


def checked(run_id: object) -> str:
    """An id as it was given.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(run_id, str) or not run_id:
        raise ValueError(f"run_id is {run_id!r}: it takes a string that is not empty")
    check_text("run_id", run_id)
    return run_id


def _forget_process() -> None:
    """A forked child must not go on with the parent's numbers."""
    global _process  # noqa: PLW0603
    _process = os.urandom(4).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_process)
