"""Many ask, one query answers."""

import asyncio
import time
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from arena.streams import replay
from arena.streams.endings import Endings
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


async def test_all_that_ask_together_share_two_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    open_turn, done = await sync_to_async(factories.started)(), await sync_to_async(factories.started)()
    await sync_to_async(factories.finish)(done)
    asked: list[int] = []
    look = replay.open_among

    def counted(turn_ids: list) -> set:
        asked.append(len(turn_ids))
        time.sleep(0.1)
        return look(turn_ids)

    monkeypatch.setattr(replay, "open_among", counted)
    endings = Endings()

    async def later(turn_id: object) -> bool:
        await asyncio.sleep(0.05)
        return await endings.has_ended(turn_id)  # type: ignore[arg-type]

    ids = [open_turn.pk, done.pk, *(uuid4() for _ in range(50))]
    answers = await asyncio.gather(*(endings.has_ended(one) for one in ids), *(later(one) for one in ids))
    assert answers == [False, *[True] * 51] * 2  # a turn that is gone has ended
    assert asked == [52, 52]


async def test_one_that_leaves_takes_the_answer_from_nobody() -> None:
    turn = await sync_to_async(factories.started)()
    endings = Endings()
    leaving, staying = (asyncio.create_task(endings.has_ended(turn.pk)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is False


async def test_a_broken_database_is_said_to_all_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(turn_ids: list) -> set:
        raise OperationalError("away")

    endings = Endings()
    with monkeypatch.context() as patch:
        patch.setattr(replay, "open_among", broken)
        told = await asyncio.gather(*(endings.has_ended(uuid4()) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [OperationalError] * 3
    assert await endings.has_ended(uuid4()) is True
