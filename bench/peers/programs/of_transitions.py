"""transitions, its asynchronous machine."""

import peer
from transitions.extensions.asyncio import AsyncMachine


class Count:
    """The data."""

    number = 0

    async def work(self):
        """Count."""
        self.number += 1


async def transition(times, _):
    """So many transitions of one machine, each of which changes data."""
    model = Count()
    AsyncMachine(
        model,
        states=["a", "b"],
        initial="a",
        transitions=[
            {"trigger": "go", "source": "a", "dest": "b", "after": "work"},
            {"trigger": "go", "source": "b", "dest": "a", "after": "work"},
        ],
    )
    for _ in range(times):
        await model.go()


peer.main({"transition": transition})
