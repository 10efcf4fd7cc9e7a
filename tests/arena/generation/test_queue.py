"""The broker from the senders' side: a Valkey that stops answering holds nobody."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from uuid import uuid4

import pytest
from celery import Celery
from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from redis.connection import parse_url
from redis.exceptions import RedisError

from arena.generation import queue

TIMEOUT_S = 0.5
PATIENCE_S = 30.0


class Mute:
    """A way to Valkey that takes every connection and passes bytes on, until it is `silent`."""

    def __init__(self) -> None:
        self.silent = False
        self.sockets: list[socket.socket] = []
        self.door = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"redis://127.0.0.1:{self.door.getsockname()[1]}/{parse_url(settings.REDIS_URL)['db']}"
        threading.Thread(target=self.let_in, daemon=True).start()

    def let_in(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.door.accept()
                valkey = socket.socket(socket.AF_UNIX)
                valkey.connect(settings.REDIS_URL.removeprefix("unix://").partition("?")[0])
                self.sockets += [client, valkey]
                for one, other in ((client, valkey), (valkey, client)):
                    threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()

    def pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not self.silent:
                    other.sendall(data)

    def close(self) -> None:
        for one in (self.door, *self.sockets):
            one.close()


@pytest.fixture
def mute(valkey: object) -> Iterator[Mute]:
    if not settings.REDIS_URL.startswith("unix://"):
        pytest.skip("Valkey is not on a socket")
    with closing(Mute()) as server:
        yield server


@pytest.fixture
def broker(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> Mute:
    """The queue's broker, with this site's bounds, only shorter ones."""
    app = Celery("test", broker=mute.url)
    app.conf.task_ignore_result = settings.CELERY_TASK_IGNORE_RESULT
    app.conf.broker_transport_options = {
        name: TIMEOUT_S if value == settings.VALKEY_TIMEOUT_S else value
        for name, value in settings.CELERY_BROKER_TRANSPORT_OPTIONS.items()
    }
    monkeypatch.setattr(queue, "app", app)
    return mute


def in_time(act: object) -> object:
    """What the call returns; it may take longer than its bound, but not for ever."""
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.append(act()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert said, "still waiting"
    return said[0]


def test_a_broker_that_says_nothing_holds_no_thread(broker: Mute) -> None:
    broker.silent = True
    assert in_time(lambda: queue.send(uuid4())) is False


def test_nor_does_one_that_falls_silent_later(broker: Mute) -> None:
    assert in_time(lambda: queue.send(uuid4())) is True
    assert in_time(queue.queued_messages) == 1
    broker.silent = True
    assert in_time(lambda: queue.send(uuid4())) is False
    broker.silent = False
    assert in_time(lambda: queue.send(uuid4())) is True, "and it is found again"
    assert in_time(queue.queued_messages) == 2


def test_a_cache_that_says_nothing_holds_no_thread(mute: Mute) -> None:
    options = dict.fromkeys(settings.CACHES["default"]["OPTIONS"], TIMEOUT_S)
    cache = RedisCache(mute.url, {"OPTIONS": options})
    mute.silent = True

    def ask() -> str:
        with pytest.raises(RedisError):
            cache.get("x")
        return "refused"

    assert in_time(ask) == "refused"
    assert set(options) == {"socket_timeout", "socket_connect_timeout"}
