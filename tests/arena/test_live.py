"""The sockets over real Valkey: who may listen, what is said, and that nothing is computed for nobody."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels_redis.pubsub import RedisPubSubLoopLayer
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from arena import asgi
from arena.live import broadcast, ticker
from arena.live.consumers import Listener
from arena.models import VoteEvent
from arena.operations import computing
from inference.models import EngineEndpoint
from tests import factories
from tests.ranking import rows
from tests.stub_engine import StubEngine

ORIGIN = (b"origin", b"http://localhost")
HOST = (b"host", b"localhost")
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


class Socket(ApplicationCommunicator):
    """A browser's side of one WebSocket."""

    def __init__(self, path: str, *headers: tuple[bytes, bytes]) -> None:
        scope = {"type": "websocket", "path": path, "query_string": b"", "subprotocols": []}
        super().__init__(asgi.application, scope | {"headers": [HOST, *(headers or (ORIGIN,))]})

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(timeout=5))["type"] == "websocket.accept"

    async def hear(self) -> dict[str, Any]:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)


@pytest.fixture
async def listener() -> AsyncIterator[Socket]:
    """An open public socket."""
    one = Socket("/live/")
    assert await one.connect()
    yield one
    await one.disconnect()


def cookie(user: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    return (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())


@sync_to_async
def staff(name: str = "s", is_staff: bool = True, may: bool = True) -> tuple[bytes, bytes]:
    user = User.objects.create_user(name, password="x", is_staff=is_staff)
    if may:
        user.user_permissions.add(Permission.objects.get(codename="view_ops"))
    return cookie(user)


async def test_a_new_board_is_announced_to_everyone(listener: Socket) -> None:
    message = {"type": "board", "origin": "live", "votes": 3}
    assert await sync_to_async(broadcast.send)(broadcast.EVERYONE, message)
    assert await listener.hear() == message


async def test_a_published_fit_reaches_an_open_page(listener: Socket) -> None:
    from ranking.fits import fitting

    @sync_to_async
    def publish() -> None:
        a, b = rows.contestants(2)
        rows.ballot(a, b, wins=3, losses=2)
        fitting.refit()

    await publish()
    message = await listener.hear()
    assert (message["type"], message["origin"], message["votes"]) == ("board", "live", 5)
    assert set(message) == {"type", "origin", "votes", "published_at"}


async def test_the_ticker_says_aggregates_and_nothing_else(listener: Socket) -> None:
    @sync_to_async
    def happen() -> None:
        factories.started()
        a, b = rows.contestants(2)
        for origin in ("live", "live", "demo"):
            rows.cast(a, b, "a", origin)
        ticker.tick()

    await happen()
    assert await listener.hear() == {"type": "ticker", "battles_now": 1, "votes_week": 2}


async def test_a_new_socket_is_greeted_with_the_last_figures() -> None:
    await sync_to_async(cache.set)(ticker.LATEST, {"type": "ticker", "battles_now": 4, "votes_week": 9}, 30)
    one = Socket("/live/")
    assert await one.connect()
    assert (await one.hear())["battles_now"] == 4
    await one.disconnect()


async def test_nothing_is_computed_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    monkeypatch.setattr(ticker, "figures", lambda: computed.append("ticker") or {})
    await sync_to_async(ticker.tick)()
    one = Socket("/live/")
    await one.connect()
    await sync_to_async(ticker.tick)()
    await one.disconnect()
    await sync_to_async(ticker.tick)()
    assert computed == ["ticker"]


async def test_old_and_later_votes_stay_outside_the_week() -> None:
    @sync_to_async
    def count() -> int:
        from datetime import timedelta

        from arena.clock import now
        from arena.ids import uuid7_floor

        a, b = rows.contestants(2)
        for age in (timedelta(days=8), timedelta(days=6)):
            VoteEvent.objects.create(
                id=uuid7_floor(now() - age), contestant_a=a, contestant_b=b, choice="a", created_at=now() - age
            )
        VoteEvent.objects.create(contestant_a=a, contestant_b=b, choice="a", kind="void")
        return ticker.votes_this_week()

    assert await count() == 1


@pytest.mark.parametrize("headers", [[(b"origin", b"https://evil.example")], [(b"x-no-origin", b"")]])
@pytest.mark.parametrize("path", ["/live/", "/live/ops/"])
async def test_a_foreign_or_missing_origin_is_refused(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    connected = await Socket(path, *headers).connect()
    assert not connected


async def test_the_operators_socket_is_for_staff_with_the_permission() -> None:
    no_staff, no_right = await staff("p", is_staff=False), await staff("q", may=False)
    strangers = [Socket("/live/ops/", *more) for more in ((ORIGIN,), (ORIGIN, no_staff), (ORIGIN, no_right))]
    assert [await one.connect() for one in strangers] == [False, False, False]
    mine = Socket("/live/ops/", ORIGIN, await staff())
    assert await mine.connect()
    await mine.disconnect()


@pytest.mark.parametrize("end", ["signed out", "no right", "inactive"])
async def test_an_open_operators_socket_ends_with_the_right_to_it(end: str) -> None:
    mine = Socket("/live/ops/", ORIGIN, await staff())
    assert await mine.connect()

    @sync_to_async
    def happen() -> None:
        broadcast.send(broadcast.STAFF, {"type": "ops"})
        if end == "signed out":
            Session.objects.all().delete()
        elif end == "no right":
            User.objects.get().user_permissions.clear()
        else:
            User.objects.update(is_active=False)

    await happen()
    await sync_to_async(broadcast.send)(broadcast.STAFF, {"type": "ops", "secret": True})
    heard = [await mine.receive_output(timeout=5)]
    if heard[0]["type"] == "websocket.send":  # the first may have been sent before the end
        assert "secret" not in heard[0]["text"]
        heard.append(await mine.receive_output(timeout=5))
    assert heard[-1] == {"type": "websocket.close", "code": 1008}


async def test_operators_hear_queues_engines_and_moderation_and_the_public_does_not(
    listener: Socket, valkey: redis.Redis
) -> None:
    mine = Socket("/live/ops/", ORIGIN, await staff())
    await mine.connect()

    @sync_to_async
    def happen(url: str) -> None:
        valkey.lpush("rank", "job")
        factories.started()
        endpoint = {"kind": "engine", "has_scheduler": True}
        EngineEndpoint.objects.create(name="up", base_url=url, **endpoint)
        EngineEndpoint.objects.create(name="gone", base_url="unix:///nowhere/engine.sock", **endpoint)
        EngineEndpoint.objects.create(name="off", base_url=url, enabled=False, **endpoint)
        ticker.tick()
        computing.refresh()

    with StubEngine() as stub:
        await happen(f"{stub.url}/v1")
    message = await mine.hear()
    assert message["type"] == "ops"
    assert message["queues"]["rank"] == 1 and message["queues"]["generate"] >= 0
    assert (message["turns"]["waiting"], message["turns"]["running"]) == (1, 0)
    states = {engine["name"]: engine["state"] for engine in message["engines"]}
    assert states == {"gone": "down", "up": "up", "stub": "unknown"}
    assert message["moderation"] == 0
    assert (await listener.hear())["type"] == "ticker"
    assert await listener.receive_nothing()
    await mine.disconnect()


async def test_whoever_talks_is_let_go(listener: Socket) -> None:
    await listener.send_input({"type": "websocket.receive", "text": "hello"})
    assert await listener.receive_output(timeout=5) == {"type": "websocket.close", "code": 1008}


async def test_a_socket_that_breaks_while_it_opens_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise redis.ConnectionError("Valkey is away")

    before = Listener.open_sockets
    monkeypatch.setattr(Listener, "greet", away)
    one = Socket("/live/")
    await one.send_input({"type": "websocket.connect"})
    await one.wait(timeout=5)  # refused, not an exception of the server: the page tries again
    assert Listener.open_sockets == before


async def test_a_socket_closes_quietly_while_valkey_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise redis.ConnectionError("Valkey is away")

    before = Listener.open_sockets
    one = Socket("/live/")
    assert await one.connect()
    monkeypatch.setattr(RedisPubSubLoopLayer, "group_discard", away)
    await one.disconnect()
    assert Listener.open_sockets == before


async def test_sockets_are_bounded_and_counted_back(settings: object) -> None:
    settings.LIVE_SOCKETS = Listener.open_sockets + 1  # type: ignore[attr-defined]
    first, second = Socket("/live/"), Socket("/live/")
    assert await first.connect() and not await second.connect()
    await first.disconnect()
    third = Socket("/live/")
    assert await third.connect()
    await third.disconnect()


async def test_public_sockets_hold_no_database_connection(listener: Socket) -> None:
    others = [Socket("/live/") for _ in range(20)]
    await asyncio.gather(*(one.connect() for one in others))

    @sync_to_async
    def connections() -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
            )
            return cursor.fetchone()[0]

    assert await connections() == 1  # the one that asks
    await asyncio.gather(*(one.disconnect() for one in others))
