"""The one table of how each model advances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._define.blueprint import Plan
from .batch import bind_batch
from .router import bind_router
from .task import bind_task
from .unit import Binder

ADVANCE: dict[str, Callable[[Any, Plan[Any], Binder], None]] = {
    "task": bind_task,
    "router": bind_router,
    "batch": bind_batch,
}
