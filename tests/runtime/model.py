"""What runs come to, by plain rules: no trio, no journal, nothing but lists and numbers.

A run does what its plan says (see `tests.runtime.desk`), each thing in no time but for `work`, which takes its seconds while
a process is there, and `nap`, which goes by the clock on the wall. Commands come at instants of their own, at which nothing
else happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cano_trio import RunStatus

ENDED = {status for status in RunStatus if status.ended}


@dataclass
class ModelRun:
    """One run."""

    run_id: str
    plan: tuple[str, ...]
    due: float | None
    """When it begins, or its nap is over."""
    status: RunStatus = RunStatus.QUEUED
    at: int = 0
    ends: float | None = None
    """When its work is done, if nobody interrupts it."""
    dozed: bool = False
    """The nap within a call is over."""
    inbox: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    booked: list[str] = field(default_factory=list)
    pausing: Literal["here", "asked"] | None = None
    """It is to be held when its work is done, by its own process; or because another has asked for it."""
    crashed: bool = False
    """Its last process has died with it, and it has finished nothing since."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def kind(self) -> str:
        """What it does now."""
        return self.plan[self.at].split()[0]

    @property
    def seconds(self) -> float:
        return float((*self.plan[self.at].split(), "1")[1])

    def stands(self) -> set[RunStatus]:
        """How it may stand in the journal."""
        if self.status is not RunStatus.RUNNING:
            return {self.status}
        match self.kind:
            case "ask":
                return {RunStatus.WAITING}
            case "nap" | "call":  # before anybody lets it go to the journal it may be at work, so to say
                return {RunStatus.RUNNING, RunStatus.WAITING}
            case _:
                return {RunStatus.RUNNING}

    def go(self, now: float, until: float) -> None:
        """Go on, with a process there all the time."""
        if self.status is RunStatus.QUEUED and (self.due is None or self.due <= until):
            now, self.status, self.due = max(now, self.due or now), RunStatus.RUNNING, None
        while self.status is RunStatus.RUNNING:
            done = getattr(self, f"_{self.kind}")(now, until)
            if done is None:
                return
            now = done
            if self.status is RunStatus.RUNNING:
                self._finish()

    def _finish(self) -> None:
        self.at += 1
        self.ends = self.due = None
        self.crashed = self.dozed = False
        if self.at == len(self.plan):
            self.status = RunStatus.COMPLETED
        elif self.pausing is not None:
            self.status = RunStatus.PAUSED
        self.pausing = None

    def _act(self, part: str = "") -> None:
        self.effects.append(f"{self.run_id}/{self.at}{part}")

    def _work(self, now: float, until: float) -> float | None:
        if self.ends is None:
            self._act()
            self.ends = now + self.seconds
        return self.ends if self.ends <= until else None

    def _nap(self, now: float, until: float) -> float | None:
        self.due = now + self.seconds if self.due is None else self.due
        if self.due > until:
            return None
        self._act()
        return max(now, self.due)

    def _ask(self, now: float, until: float) -> float | None:
        if not self.inbox:
            return None
        self._act()
        self.heard.append(self.inbox.pop(0))
        return now

    def _call(self, now: float, until: float) -> float | None:
        if not self.dozed:
            self.due = now + self.seconds if self.due is None else self.due
            if self.due > until:
                return None
            self._act("/0")
            now, self.dozed = max(now, self.due), True
        if not self.inbox:
            return None
        self._act("/1")
        self.heard.append(self.inbox.pop(0))
        return now

    def _book(self, now: float, until: float) -> float | None:
        self._act()
        self.booked.append(self.effects[-1])
        return now

    def _fail(self, now: float, until: float) -> float | None:
        self._act()
        if self.effects.count(self.effects[-1]) == 1:  # it succeeds when it is tried again
            self._stop(RunStatus.ROLLED_BACK if self.booked else RunStatus.FAILED)
        return now

    def _stop(self, status: RunStatus) -> None:
        self.status, self.pausing = status, None
        self.effects += [f"{key}/undo" for key in reversed(self.booked)]
        self.booked.clear()

    # -- what is done with it

    def interrupt(self, *, crash: bool) -> None:
        """Its process ends."""
        if self.pausing == "asked" or (self.pausing is not None and not crash):
            self.status = RunStatus.PAUSED  # in the next process, if this one has died: the request is still there
        self.ends = self.pausing = None
        self.crashed = crash and not self.ended

    def pause(self, *, elsewhere: bool) -> None:
        if self.ended or self.status is RunStatus.PAUSED:
            return
        if self.status is RunStatus.QUEUED:
            self.status, self.due = RunStatus.PAUSED, None
        elif self.kind == "work":
            self.pausing = "asked" if elsewhere or self.pausing == "asked" else "here"
        else:
            self.status = RunStatus.PAUSED

    def resume(self, now: float, *, elsewhere: bool) -> None:
        if self.status is RunStatus.PAUSED:
            self.status = RunStatus.RUNNING
            self.go(now, now)
        elif not elsewhere:
            self.pausing = None

    def cancel(self) -> None:
        if not self.ended:
            self._stop(RunStatus.CANCELLED)

    def retry(self, now: float) -> None:
        if self.status is RunStatus.FAILED:
            self.status = RunStatus.RUNNING
            self.go(now, now)

    def send(self, now: float, text: str, key: str | None) -> None:
        if self.ended or (key is not None and key in self.keys):
            return
        if key is not None:
            self.keys.add(key)
        self.inbox.append(text)
        self.go(now, now)


class Model:
    """All runs, and whether there is a process that carries them out."""

    def __init__(self) -> None:
        self.now = 0.0
        self.alive = False
        self.runs: dict[str, ModelRun] = {}

    def advance(self, seconds: float) -> None:
        before, self.now = self.now, self.now + seconds
        if self.alive:
            for run in self.runs.values():
                run.go(before, self.now)

    def open(self) -> None:
        self.alive = True
        for run in self.runs.values():
            run.go(self.now, self.now)

    def end(self, *, crash: bool) -> None:
        """The process dies, or lets all go."""
        self.alive = False
        for run in self.runs.values():
            run.interrupt(crash=crash)

    def start(self, run_id: str, plan: tuple[str, ...], delay: float) -> None:
        run = self.runs[run_id] = ModelRun(run_id, plan, self.now + delay if delay else None)
        run.go(self.now, self.now)

    def told(self) -> dict[str, tuple[set[RunStatus], int, list[str], list[str]]]:
        """How all runs stand: their statuses, how far they are, what they have heard and what they have done."""
        return {run.run_id: (run.stands(), run.at, [*run.heard], sorted(run.effects)) for run in self.runs.values()}

    def each(self, do: Callable[[ModelRun], object]) -> None:
        for run in self.runs.values():
            do(run)
