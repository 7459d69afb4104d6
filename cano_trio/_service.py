"""What only a program of many runs needs: the runtime, its groups and schedules.

`cano_trio` loads it when one of these names is first asked for; else it would be a quarter of every import.
"""

from ._define.cron import Cron as Cron
from ._define.schedule import Schedule as Schedule
from ._define.schedule import ScheduleOptions as ScheduleOptions
from ._define.trigger import Every as Every
from ._define.trigger import Manual as Manual
from ._runtime.groups import Group as Group
from ._runtime.info import RunInfo as RunInfo
from ._runtime.info import RuntimeStatistics as RuntimeStatistics
from ._runtime.restart import Restart as Restart
from ._runtime.runtime import Runtime as Runtime
from ._runtime.runtime import open_runtime as open_runtime
from ._runtime.schedule_status import ScheduleState as ScheduleState
from ._runtime.schedule_status import ScheduleStatus as ScheduleStatus
from ._runtime.schedules import Schedules as Schedules
from ._runtime.starting import StartOptions as StartOptions
