"""The beat of the loop: what engines say is read once per tick, just before it is released, however many pieces it came in.

Waking a task per piece costs more than all that is then done with it. Between two beats pieces wait in their connection's
buffer, which is bounded; nothing is shown later, for text leaves at ticks only.
"""

import asyncio


class Pulse:
    """`wait` ends at the next `beat`."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        beat: asyncio.Future[None] = (
            asyncio.get_running_loop().create_future()
        )  # of its own: a shared one is cancelled with any
        self._waiting.append(beat)
        await beat

    def beat(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
