"""Whether turns have ended, asked of PostgreSQL for many of them at once.

Hundreds of quiet streams ask at the same moment (they were opened together, or their turns end together); one query tells all
that have asked while the one before was under way.
"""

import asyncio
from uuid import UUID

from arena.aio import in_db
from arena.streams import replay


class Endings:
    """Of one event loop."""

    def __init__(self) -> None:
        self._asked: dict[UUID, asyncio.Future[bool]] = {}
        self._task: asyncio.Task[None] | None = None

    async def has_ended(self, turn_id: UUID) -> bool:
        """True for a turn that is finished or gone. Raises what the database raises."""
        answer = self._asked.setdefault(turn_id, asyncio.get_running_loop().create_future())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask())
        return await asyncio.shield(answer)  # one who leaves takes the answer from nobody

    async def _ask(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                still_open = await in_db(replay.open_among, list(asked))
            except Exception as error:
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # seen, also when nobody waits for it any more
                continue
            for turn_id, answer in asked.items():
                answer.set_result(turn_id not in still_open)
