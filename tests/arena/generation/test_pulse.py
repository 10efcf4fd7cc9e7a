"""The beat that decides when engines are read."""

import asyncio

from arena.generation.pulse import Pulse


async def test_a_beat_ends_every_wait_and_nobody_else_is_woken() -> None:
    pulse, told = Pulse(), []

    async def listen(name: str) -> None:
        await pulse.wait()
        told.append(name)

    waiting = [asyncio.create_task(listen(name)) for name in ("a", "b", "given up")]
    await asyncio.sleep(0.01)
    waiting[2].cancel()
    await asyncio.sleep(0.01)
    assert told == []
    pulse.beat()
    late = asyncio.create_task(listen("late"))
    await asyncio.sleep(0.01)
    assert told == ["a", "b"]
    pulse.beat()
    await late
    assert told == ["a", "b", "late"]
