"""The two sockets: /live/ for everyone, /live/ops/ for operators. The server speaks; whoever sends anything is let go."""

import logging
from contextlib import suppress
from typing import Any, ClassVar

import redis
from channels.exceptions import DenyConnection
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache

from arena.aio import in_db
from arena.live import broadcast, ticker
from arena.operations.access import is_operator

POLICY_VIOLATION = 1008
AWAY = (redis.RedisError, OSError)  # Valkey cannot be reached; pages try again by themselves

log = logging.getLogger(__name__)


class Listener(AsyncJsonWebsocketConsumer):
    """A socket that only listens; at most settings.LIVE_SOCKETS of them in a process. Holds no database connection."""

    open_sockets: ClassVar[int] = 0
    counted = False
    group = broadcast.EVERYONE

    async def allowed(self) -> bool:
        return True

    async def connect(self) -> None:
        if Listener.open_sockets >= settings.LIVE_SOCKETS or not await self.allowed():
            raise DenyConnection
        Listener.open_sockets += 1
        self.counted = True
        try:
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self.accept()
            await self.greet()
        except BaseException as error:  # nobody will call disconnect, and the place must not be lost
            self._uncount()
            if not isinstance(error, AWAY):
                raise
            log.warning("no socket: %s", type(error).__name__)
            raise DenyConnection from None

    def _uncount(self) -> None:
        Listener.open_sockets -= 1
        self.counted = False

    async def greet(self) -> None:
        """The last figures, so that a new page need not wait for the next tick."""
        if latest := await cache.aget(ticker.LATEST):
            await self.send_json(latest)

    async def disconnect(self, code: int) -> None:
        if self.counted:
            self._uncount()
            with suppress(*AWAY):  # a group without Valkey is gone already
                await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **more: Any) -> None:
        await self.close(POLICY_VIOLATION)

    async def forward(self, event: dict[str, Any]) -> None:
        await self.send_json(event["message"])


class LiveConsumer(Listener):
    """Aggregate figures and "there is a new board"; nothing per model."""


class OpsConsumer(Listener):
    """Queues, engines and moderation, for staff who may see them; asked again before every message."""

    group = broadcast.STAFF

    async def allowed(self) -> bool:
        user, session = self.scope.get("user"), self.scope.get("session")
        pk = getattr(user, "pk", None)
        return pk is not None and await in_db(_may_listen, pk, session)

    async def forward(self, event: dict[str, Any]) -> None:
        if await self.allowed():
            await super().forward(event)
        else:  # signed out, or no longer allowed
            await self.close(POLICY_VIOLATION)

    async def greet(self) -> None:
        """Nothing: the next tick brings the figures."""


def _may_listen(pk: int, session: Any) -> bool:
    """Whether this account still may, and its sign-in still stands."""
    user = User.objects.filter(pk=pk).first()
    return bool(user and is_operator(user) and session.exists(session.session_key))
