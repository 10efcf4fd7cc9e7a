"""One turn in the worker against endpoints that play a script."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from asgiref.sync import sync_to_async

from arena import turns
from arena.generation.run import TurnRun
from arena.models import Battle, Turn
from inference.events import Finished, GenerationFailed, Queued, Text, Wanted
from inference.scheduler.protocol import ClientFigures
from tests import factories

Step = float | str | GenerationFailed | Finished | Queued


class ScriptedDispatcher:
    """Stands in for the endpoints: each side plays its script (seconds to wait, text, an end)."""

    def __init__(self, a: list[Step], b: list[Step]) -> None:
        self.scripts = [a, b]
        self.wanted: list[Wanted] = []
        self.closed = 0

    def figures(self) -> dict[str, object]:
        return {}

    def clients(self, limit: int) -> dict[str, list[ClientFigures]]:
        return {}

    async def stream(self, wanted: Wanted) -> AsyncIterator[object]:
        script = self.scripts[len(self.wanted)]
        self.wanted.append(wanted)
        try:
            for step in script:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, str):
                    yield Text(step)
                elif isinstance(step, GenerationFailed):
                    raise step
                else:
                    yield step
        finally:
            self.closed += 1


END = Finished("stop", 3, 4)


class Played:
    """What a run told the browser and left in the database."""

    def __init__(self, told: list[tuple[str, dict]], battle: Battle) -> None:
        self.told, self.battle = told, battle
        self.names = [name for name, _data in told]

    def text(self, side: str) -> str:
        """What the side shows in the end, by the browser's rules."""
        shown, tail = "", ""
        for name, data in self.told:
            if name == "reset" and data["side"] == side:
                shown = tail = ""
            elif name == "frame" and side in data:
                frame = data[side]
                shown += "".join(frame.get("blocks", []))
                tail = frame["tail"] if "tail" in frame else tail + frame["add"]
        return shown + tail

    def first(self, side: str) -> int:
        return next(i for i, (name, data) in enumerate(self.told) if name == "frame" and side in data)

    def end(self, side: str) -> str:
        return next(data["state"] for name, data in self.told if name == "side" and data["side"] == side)


async def play(turn: Turn, dispatcher: ScriptedDispatcher, during: Callable[[TurnRun], None] | None = None) -> Played:
    brief = await sync_to_async(turns.claim)(turn.id, "me")
    told: list[tuple[str, dict]] = []

    def tell(_turn: UUID, *batch: tuple[str, dict]) -> None:
        told.extend(batch)

    run = TurnRun(brief, "me", dispatcher, tell)  # type: ignore[arg-type]

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.01)
            if during:
                during(run)
            run.tick()

    ticking = asyncio.create_task(tick())
    async with asyncio.timeout(20):
        await run.run()
    ticking.cancel()
    return Played(told, await Battle.objects.aget(pk=turn.battle_id))


async def begin(size: int = 2) -> Turn:
    await sync_to_async(factories.ring)(size)
    return await sync_to_async(factories.started)()
