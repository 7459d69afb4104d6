"""A run's mailbox: messages wait here, in order, for a state that takes them."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, final

import outcome
import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from .._define.checks import check_text
from .._define.question import Question
from .._errors import MailboxFull, MessageRejected, RunAlreadyEnded
from .reply import GONE_ON, leave_unanswered, pass_on, take_in

SIZE = 1000
"""Messages that a mailbox holds; a message that a state waits for at the moment needs no room."""

KEYS = 10_000
"""Keys that it remembers, the latest ones: whoever sends a message again does so soon."""

Kinds = tuple[type, ...]

_NO_NUMBERS: frozenset[int] = frozenset()
_NO_QUESTIONS: Mapping[int, Question[Any]] = {}
"""What most mailboxes have, of which there may be a million: an empty set of its own weighs 216 bytes."""

_log = logging.getLogger("cano_trio")


def check_key(key: str | None) -> None:
    """Refuse what no message can be known by.

    Raises:
        ValueError: it is empty, no string, or one that can't be written down.
    """
    if key is not None and (not isinstance(key, str) or not key):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"key is {key!r}: it takes a string that is not empty")
    if key is not None:
        check_text("key", key)


@final
class Letter:
    """A message in a mailbox, or of a sender who waits for room.

    Args:
        message: what is sent.
        key: what a second sending of it would be known by.
        number: its place in the inbox of a run that is written down.
        body: it as it is written down there.
    """

    __slots__ = ("body", "kept", "key", "message", "number", "taken")

    def __init__(self, message: object, key: str | None, number: int | None = None, body: bytes | None = None) -> None:
        self.message = message
        self.key = key
        self.number = number
        self.body = body
        self.taken = False
        """A state has it: it stays in the mailbox until that is finished, and nobody else gets it."""
        self.kept = False
        """It is not put back by an attempt that is made again."""


@final
class Mailbox:
    """Holds messages in the order in which they came, and gives each to the first who takes its kind.

    While somebody waits, no letter for him that nobody has is in the mailbox or before its door; and somebody waits for room
    only as long as there is none.

    Args:
        run_id: the run whose it is.
        kinds: all that the states of its workflow take.
    """

    __slots__ = (
        "_ahead",
        "_closed",
        "_coming",
        "_expected",
        "_heard",
        "_keys",
        "_kinds",
        "_letters",
        "_run_id",
        "_senders",
        "_vacated",
        "takers",
    )

    def __init__(self, run_id: str, kinds: Kinds) -> None:
        self._run_id = run_id
        self._kinds = kinds
        self._letters: list[Letter] = []
        self._keys: dict[str, None] = {}
        self._senders: dict[Task, Letter] = {}
        self.takers: dict[Task, Kinds] = {}
        """Who waits for a message, and of which kinds."""
        self._heard = 0
        self._ahead = _NO_NUMBERS
        """The numbers of those that have come in before one that was written down earlier."""
        self._expected: Mapping[int, Question[Any]] = _NO_QUESTIONS
        """Questions that were written down and are still to come in, by their numbers."""
        self._coming = 0
        """How many places are reserved."""
        self._vacated: trio.Event | None = None
        """Somebody waits to reserve a place, and may look again when it is set."""
        self._closed = ""
        """Why nobody takes anything out any more; empty as long as somebody may."""

    # -- sending

    def put_nowait(self, message: object, key: str | None) -> bool:
        """Put a message in; False if one with its key has come before.

        Raises:
            MessageRejected: no state takes it.
            MailboxFull: there is no room, or others wait for it already.
        """
        return self._put(self._letter(message, key))

    async def put(self, message: object, key: str | None) -> bool:
        """Put a message in as soon as there is room, behind a `checkpoint_if_cancelled`; if cancelled, it has not come in.

        Raises:
            MessageRejected: no state takes it.
            RunAlreadyEnded: the run has ended before there was room.
        """
        letter = self._letter(message, key)
        try:
            fresh = self._put(letter)
        except MailboxFull:
            self._senders[current_task()] = letter
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return fresh
        let_in: bool = await _called(self._senders)
        return let_in

    async def reserve(self, message: object, key: str | None) -> None:
        """Wait for room, and keep it for a message that is being written down.

        Where the run stops meanwhile, what it is told is up to those who write the message down: it may go on elsewhere.

        Raises:
            MessageRejected: no state takes it.
        """
        letter = self._letter(message, key)
        while not self._closed and len(self._letters) + self._coming >= SIZE and not self._is_awaited(letter):
            self._vacated = self._vacated or trio.Event()
            await self._vacated.wait()
        self._coming += 1

    def give_up(self) -> None:
        """Let a reserved place go."""
        self._coming -= 1
        self._call_waiting()

    def fill(self, letter: Letter, number: int, *, in_turn: bool) -> Letter:
        """Put a message that is written down in its reserved place; gives it as it has come in, or will.

        Args:
            letter: the message.
            number: its place in the inbox.
            in_turn: if those before it are still to come, it comes with them, by whoever passes them on: they may be of the
                same sender.
        """
        self.give_up()
        if number == self._heard + 1 or not in_turn:
            if self._admit(letter):
                return letter
        elif number > self._heard and number not in self._ahead:
            self._expect(letter, number)
            return letter
        return next((other for other in self._letters if other.number == number), letter)

    def _expect(self, letter: Letter, number: int) -> None:
        """The reply to a question that comes in by another way is to come here."""
        if isinstance(letter.message, Question):
            take_in(letter.message)
            self._expected = {**self._expected, number: letter.message}

    @property
    def heard(self) -> int:
        """Up to which number all messages have come in, of those that are written down."""
        return self._heard

    def holds(self, number: int) -> bool:
        """Whether the message of that number is in it."""
        return any(letter.number == number for letter in self._letters)

    def _call_waiting(self) -> None:
        if self._vacated is not None:
            self._vacated.set()
            self._vacated = None

    def _put(self, letter: Letter) -> bool:
        if self._is_known(letter):
            return False
        if len(self._letters) >= SIZE and not self._is_awaited(letter):
            raise MailboxFull(self._run_id, SIZE)
        self._admit(letter)
        return True

    def _letter(self, message: object, key: str | None) -> Letter:
        if not isinstance(message, self._kinds):
            raise MessageRejected(self._run_id, type(message).__name__, [kind.__name__ for kind in self._kinds])
        check_key(key)
        return Letter(message, key)

    def _is_known(self, letter: Letter) -> bool:
        return letter.key in self._keys

    def _is_awaited(self, letter: Letter) -> bool:
        return self.is_awaited(letter.message)

    def _admit(self, letter: Letter) -> bool:
        """Take a letter in, and hand it to who waits for it; tells whether it had not come by another way already."""
        if letter.number is not None and not self.is_news(letter.number):
            return False
        if letter.number is not None and letter.number in self._expected:
            pass_on(self._expected[letter.number], letter.message)
            self._expected = {number: other for number, other in self._expected.items() if number != letter.number}
        take_in(letter.message)
        if self._closed:
            leave_unanswered(self._run_id, [letter.message], self._closed)
        self._letters.append(letter)
        if letter.key is not None:
            self._keys[letter.key] = None
            if len(self._keys) > KEYS:
                del self._keys[next(iter(self._keys))]
        self._hand_over(letter)
        return True

    def _hand_over(self, letter: Letter) -> None:
        """Give a letter to the first who waits for one of its kind."""
        for task, kinds in self.takers.items():
            if isinstance(letter.message, kinds):
                del self.takers[task]
                letter.taken = True
                reschedule(task, outcome.Value(letter))
                return

    def is_news(self, number: int) -> bool:
        """Take note of the number of a message that comes in; tells whether it has not come before."""
        if number <= self._heard or number in self._ahead:
            return False
        if number != self._heard + 1:
            self._ahead |= {number}
            return True
        self._heard = number
        while self._heard + 1 in self._ahead:
            self._heard += 1
        if self._ahead:
            self._ahead = frozenset(other for other in self._ahead if other > self._heard)
        return True

    def deliver(self, letter: Letter) -> None:
        """Put in a message that was written down by another, whether or not there is room."""
        self._admit(letter)

    def _admit_sender(self, task: Task) -> bool:
        """Take in the letter of one who waits for room; tells whether it was not known yet, as it tells the sender."""
        letter = self._senders.pop(task)
        fresh = not self._is_known(letter)
        if fresh:
            self._admit(letter)
        reschedule(task, outcome.Value(fresh))
        return fresh

    def restore(self, letters: Sequence[Letter], posted: int) -> None:
        """Take in what was in the inbox when the run's process ended, to which that many messages were posted."""
        self._letters = [*letters]
        self._heard = posted

    def is_awaited(self, message: object) -> bool:
        """Whether a state waits for a message of this kind."""
        return any(isinstance(message, kinds) for kinds in self.takers.values())

    # -- taking

    def take_nowait(self, kinds: Kinds) -> Letter | None:
        """The first letter of these kinds that nobody has; it stays in the mailbox until it is removed."""
        for letter in self._letters:
            if not letter.taken and isinstance(letter.message, kinds):
                letter.taken = True
                return letter
        # It may stand before the door of a mailbox that is full of messages for other states.
        for task, letter in [*self._senders.items()]:
            if isinstance(letter.message, kinds) and self._admit_sender(task):
                letter.taken = True
                return letter
        return None

    def take(self, kinds: Kinds) -> Awaitable[Letter]:
        """Wait for a letter of these kinds, when `take_nowait` has found none; if this is cancelled, none is taken."""
        self.takers[current_task()] = kinds
        return _called(self.takers)

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Have letters that were taken be there again, each at its place."""
        for letter in letters:
            letter.taken = False
            self._hand_over(letter)

    def remove(self, letter: Letter) -> None:
        """Take a letter out for good, and let in who waits for room."""
        self._letters.remove(letter)
        leave_unanswered(self._run_id, [letter.message], GONE_ON)
        self._call_waiting()
        while self._senders and len(self._letters) < SIZE:
            self._admit_sender(next(iter(self._senders)))

    def turn_away(self, error: Exception, why: str) -> None:
        """The run stops here: turn away all who wait for room, for a message or for a reply, each with an error of its own."""
        self._closed = why
        leave_unanswered(self._run_id, (letter.message for letter in self._letters), why)
        leave_unanswered(self._run_id, self._expected.values(), why)
        self._call_waiting()
        for task in (*self._senders, *self.takers):
            reschedule(task, outcome.Error(copy.copy(error)))

    def close(self, status: str) -> None:
        """The run has ended: turn away all who wait, and tell of what nobody has taken."""
        self.turn_away(RunAlreadyEnded(self._run_id, status), f"it is {status}")
        if unread := Counter(type(letter.message).__name__ for letter in self._letters if not letter.taken):
            told = ", ".join(f"{number} {kind}" for kind, number in sorted(unread.items()))
            _log.warning("run %r is %s and left messages unread: %s", self._run_id, status, told)


async def _called(waiting: dict[Task, Any]) -> Any:
    """Wait to be rescheduled by whoever takes the present task out of those that wait; a cancel takes it out, too."""
    task = current_task()

    def leave(_: object) -> Abort:
        del waiting[task]
        return Abort.SUCCEEDED

    return await wait_task_rescheduled(leave)
