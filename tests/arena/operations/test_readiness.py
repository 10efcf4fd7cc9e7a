"""/readyz: every part alone takes readiness away, within a bound; strangers learn only yes or no."""

import threading
import time
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from arena import logs
from arena.operations import access, heartbeat, readiness, snapshot
from arena.operations.readiness import DEGRADED, FAILED, OK, Checks, judge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report is remembered from another test."""
    monkeypatch.setattr(readiness, "checks", Checks())
    monkeypatch.setattr("arena.views.health.checks", readiness.checks)
    monkeypatch.setattr(readiness, "FRESH_S", 0.0)
    monkeypatch.setattr(access, "tries", access.Tries())


def everybody_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in heartbeat.VITAL:
        monkeypatch.setattr(logs, "PROCESS", role)
        heartbeat.tell()


def engines(valkey: redis.Redis, *states: str) -> None:
    rows = [{"name": f"e{n}", "state": state} for n, state in enumerate(states)]
    snapshot.store({"engines": rows}, valkey)


@pytest.fixture
def ready(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody_lives(monkeypatch)
    engines(valkey, "up", "unknown")


def operator() -> Client:
    user = User.objects.create_user("op", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_ops"))
    client = Client()
    client.force_login(user)
    return client


def parts(settings: Any) -> dict[str, Any]:
    token = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    return Client().get("/readyz", headers=token).json()["parts"]


@pytest.mark.usefixtures("ready")
def test_strangers_learn_yes_or_no_and_operators_what(settings) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    staff = operator().get("/readyz").json()
    assert staff["status"] == "ok" and set(staff["parts"]) == {
        "database", "migrations", "valkey", "worker-generate", "worker-batch", "beat", "engines",
    }  # fmt: skip
    assert set(parts(settings)) == set(staff["parts"])
    assert "no-store" in response["Cache-Control"] or "no-cache" in response["Cache-Control"]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("role", heartbeat.VITAL)
def test_a_silent_process_takes_readiness_away(role: str, valkey: redis.Redis, settings) -> None:
    (name,) = [n for n in valkey.smembers(heartbeat.INDEX) if n.decode().startswith(role)]
    valkey.expire(heartbeat.PREFIX + name.decode(), heartbeat.KEPT_S - 60)
    assert Client().get("/readyz").status_code == 503
    part = parts(settings)[role]
    assert part["state"] == FAILED and part["said"].startswith("last heard 6")
    valkey.delete(heartbeat.PREFIX + name.decode())
    assert parts(settings)[role]["said"] == "never heard of"


@pytest.mark.usefixtures("ready")
def test_an_unapplied_migration_takes_readiness_away(settings) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'arena' AND name = '0002_revision_immutable'")
    try:
        assert Client().get("/readyz").json() == {"status": "not ok"}
        assert parts(settings)["migrations"]["said"] == "not applied: arena.0002_revision_immutable"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('arena', '0002_revision_immutable', now())"
            )


def test_the_names_on_disk_are_those_that_migrate_applied() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        assert readiness.on_disk() == set(cursor.fetchall())


@pytest.mark.usefixtures("ready")
def test_without_valkey_nothing_is_ready_and_the_answer_comes_in_time(settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    begun = time.monotonic()
    found = parts(settings)
    assert time.monotonic() - begun < 3 * settings.READY_TIMEOUT_S
    assert found["valkey"]["state"] == FAILED and "ConnectionError" in found["valkey"]["said"]
    assert found["database"]["state"] == OK


@pytest.mark.usefixtures("ready")
def test_a_part_that_hangs_is_given_up(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.READY_TIMEOUT_S = 0.2
    release = threading.Event()
    monkeypatch.setitem(readiness.CHECKS, "database", lambda: release.wait(20) and {})
    begun = time.monotonic()
    report = readiness.checks.now()
    assert time.monotonic() - begun < 10, "half of what the part would have hung"
    assert report.parts["database"].said == "no answer within 0.2 s" and not report.ready
    assert report.parts["valkey"].state == OK
    release.set()


@pytest.mark.usefixtures("ready")
def test_a_slow_database_is_cut_off_by_the_server(settings) -> None:
    settings.READY_TIMEOUT_S = 0.3
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        report = readiness.checks.now()
        cursor.execute("ROLLBACK")
    assert report.parts["database"].state == FAILED
    assert readiness.checks.now().ready


@pytest.mark.usefixtures("ready")
def test_many_askers_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_S", 60.0)
    looks: list[int] = []
    monkeypatch.setattr(readiness, "CHECKS", {"valkey": lambda: looks.append(1) or {"valkey": readiness.Part(OK)}})
    checks = Checks()
    threads = [threading.Thread(target=checks.now) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looks == [1]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([], DEGRADED),
        (["up"], OK),
        (["up", "down"], DEGRADED),
        (["draining"], DEGRADED),
        (["unknown", "down"], DEGRADED),
        (["unknown"], OK),
        (["down"], FAILED),
        (["down", "down"], FAILED),
    ],
)
def test_engines_degrade_and_fail_only_when_none_serves(states: list[str], verdict: str) -> None:
    assert judge([{"name": f"e{n}", "state": state} for n, state in enumerate(states)]).state == verdict


@pytest.mark.usefixtures("ready")
def test_a_dead_engine_beside_a_living_one_keeps_the_site_in_rotation(valkey: redis.Redis, settings) -> None:
    engines(valkey, "up", "down")
    assert Client().get("/readyz").status_code == 200
    token = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    assert Client().get("/readyz", headers=token).json()["status"] == DEGRADED
    engines(valkey, "down", "down")
    assert Client().get("/readyz").status_code == 503
    valkey.delete(snapshot.KEY)
    assert Client().get("/readyz").status_code == 200
    assert parts(settings)["engines"]["said"].startswith("nothing is known")
