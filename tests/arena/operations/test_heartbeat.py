"""Signs of life over real Valkey: who is alive, for how long, and what becomes of the dead."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
import redis

from arena import lifespan, logs
from arena.operations import heartbeat
from arena.operations.usage import usage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def test_a_beat_says_who_where_and_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PROCESS", "worker-generate")
    assert heartbeat.tell({"open_turns": 3})
    (beat,) = heartbeat.beats()
    assert (beat.process, beat.instance.rpartition(":")[2]) == ("worker-generate", str(os.getpid()))
    assert beat.alive and beat.age_s < 2
    assert beat.figures["open_turns"] == 3 and beat.figures["resident_bytes"] > 10_000_000
    assert beat.figures["cpu_s"] > 0 and beat.figures["db_waiting"] == 0
    assert heartbeat.living([beat], "worker-generate") == [beat] and heartbeat.living([beat], "beat") == []


def test_silence_is_death_and_is_forgotten_in_the_end(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PROCESS", "beat")
    heartbeat.tell()
    key = heartbeat.PREFIX + heartbeat._name()
    valkey.expire(key, heartbeat.KEPT_S - 40)
    (beat,) = heartbeat.beats()
    assert not beat.alive and 39 <= beat.age_s <= 42
    valkey.delete(key)
    assert heartbeat.beats() == [] and not valkey.smembers(heartbeat.INDEX)


def test_an_orderly_end_is_not_missed_and_a_lost_valkey_is_no_error(settings) -> None:
    heartbeat.tell()
    heartbeat.leave()
    assert heartbeat.beats() == []
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    assert heartbeat.tell() is False
    heartbeat.leave()


def test_beat_writes_at_most_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(heartbeat, "tell", lambda: told.append(1))
    monkeypatch.setattr(heartbeat, "_told", 0.0)
    for _ in range(5):
        heartbeat.tell_sometimes()
    assert told == [1]


def test_usage_counts_children() -> None:
    code = "x = bytearray(60_000_000); print(len(x), flush=True); input()"
    before = usage().resident_bytes
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as child:
        assert child.stdout and child.stdout.readline()
        assert usage().resident_bytes - before > 55_000_000
        assert usage(child.pid).resident_bytes > 60_000_000
        child.communicate(b"\n")
    assert usage(child.pid).resident_bytes == 0
    begun = usage().cpu_s
    while time.process_time() - begun < 0.2 and usage().cpu_s - begun < 0.05:
        sum(range(10_000))
    assert usage().cpu_s > begun


async def test_the_web_process_beats_from_its_own_loop(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HEARTBEAT_S = 0.05
    monkeypatch.setattr(lifespan, "STEP_S", 0.01)
    told: list[dict] = []
    monkeypatch.setattr(heartbeat, "tell", told.append)
    monkeypatch.setattr(heartbeat, "leave", lambda: told.append("left"))
    inbox: asyncio.Queue[dict] = asyncio.Queue()
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    running = asyncio.create_task(lifespan.lifespan({}, inbox.get, send))
    await inbox.put({"type": "lifespan.startup"})
    async with asyncio.timeout(5):
        while len(told) < 2:
            await asyncio.sleep(0.01)
    time.sleep(0.3)  # the loop hangs
    count = len(told)
    async with asyncio.timeout(5):
        while len(told) == count:
            await asyncio.sleep(0.01)
    await inbox.put({"type": "lifespan.shutdown"})
    await running
    assert {"sse", "sockets", "overflows", "loop_lag_s"} == set(told[0])
    assert max(one["loop_lag_s"] for one in told[:-1]) > 0.2 and told[-1] == "left"
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_process_without_queries_tells_of_no_connection_and_opens_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.backends.postgresql.base import DatabaseWrapper

    monkeypatch.setattr(DatabaseWrapper, "_connection_pools", {})
    assert heartbeat._pool() == {"db_open": 0, "db_free": 0, "db_waiting": 0}
    assert DatabaseWrapper._connection_pools == {}
