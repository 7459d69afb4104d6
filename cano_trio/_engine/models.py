"""The one table of how each model advances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._define.blueprint import Plan
from .batch import bind_batch
from .child import bind_child
from .compensatable import bind_compensatable
from .poll import bind_poll
from .receive import bind_receive
from .router import bind_router
from .split import bind_fixed_split, bind_split
from .stepped import bind_stepped
from .stream import bind_stream
from .task import bind_task
from .timer import bind_timer
from .unit import Binder

ADVANCE: dict[str, Callable[[Any, Plan[Any], Binder], None]] = {
    "task": bind_task,
    "router": bind_router,
    "poll": bind_poll,
    "timer": bind_timer,
    "batch": bind_batch,
    "child": bind_child,
    "compensatable": bind_compensatable,
    "stepped": bind_stepped,
    "receive": bind_receive,
    "fixed split": bind_fixed_split,
    "split": bind_split,
    "stream": bind_stream,
}
