"""How a resource is."""

from __future__ import annotations

from enum import IntEnum
from typing import final

import msgspec


@final
class HealthLevel(IntEnum):
    """How well a resource works; the greater, the worse."""

    HEALTHY = 0
    DEGRADED = 1
    UNHEALTHY = 2


@final
class HealthStatus(msgspec.Struct, frozen=True):
    """How a resource is, and why (cano RES-9).

    Args:
        level: healthy, degraded or unhealthy.
        reason: what is wrong, in a sentence.

    >>> from cano_trio import HealthStatus
    >>> HealthStatus.healthy().is_healthy, str(HealthStatus.degraded("replica lags by 4 s"))
    (True, 'degraded: replica lags by 4 s')
    """

    level: HealthLevel
    reason: str = ""

    @classmethod
    def healthy(cls) -> HealthStatus:
        """All is well."""
        return cls(HealthLevel.HEALTHY)

    @classmethod
    def degraded(cls, reason: str) -> HealthStatus:
        """It works, but not as it should."""
        return cls(HealthLevel.DEGRADED, reason)

    @classmethod
    def unhealthy(cls, reason: str) -> HealthStatus:
        """It does not work."""
        return cls(HealthLevel.UNHEALTHY, reason)

    @property
    def is_healthy(self) -> bool:
        """Whether all is well."""
        return self.level is HealthLevel.HEALTHY

    def __str__(self) -> str:
        """The level, and the reason if there is one."""
        return f"{self.level.name.lower()}: {self.reason}" if self.reason else self.level.name.lower()
