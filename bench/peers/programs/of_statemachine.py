"""python-statemachine, with asynchronous actions."""

import peer
from statemachine import State, StateMachine


class Ring(StateMachine):
    """Two states."""

    a = State(initial=True)
    b = State()
    go = a.to(b) | b.to(a)
    number = 0

    async def on_go(self):
        """Count."""
        self.number += 1


async def transition(times, _):
    """So many transitions of one machine, each of which changes data."""
    machine = Ring()
    await machine.activate_initial_state()
    for _ in range(times):
        await machine.go()


peer.main({"transition": transition})
