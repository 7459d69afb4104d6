"""Signals by which the command is asked to stop."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import trio

AGAIN_SECONDS = 0.3
"""A signal this soon behind another is the same one once more: a shell's and a wrapper's both arrive."""


@contextmanager
def heard(numbers: Iterable[signal.Signals], *answers: Callable[[], object]) -> Iterator[None]:
    """Answer signals while in the block: the first one by the first answer, and so on; those that are left go where they went.

    Once one has come, the process is on its way out, and deaf to more when the block is left. A signal that is ignored, as
    SIGINT is under nohup, is none for us to hear.

    Args:
        numbers: the signals.
        answers: what is called in the trio run, outside of all tasks.
    """
    found = {number: signal.getsignal(number) for number in numbers}
    earlier = {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}
    token = trio.lowlevel.current_trio_token()
    now = trio.lowlevel.current_clock().current_time
    left = iter(answers)
    last = -math.inf

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if now() <= last + AGAIN_SECONDS:
            return
        last = now()
        answer = next(left, None)
        if answer is None:
            _pass_on(number, earlier[signal.Signals(number)], frame)
        else:
            token.run_sync_soon(answer)

    for number in earlier:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler if last == -math.inf else signal.SIG_IGN)


def _pass_on(number: int, handler: Any, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
