"""Operators, and an installation in which something of everything has happened."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import redis
from django.contrib.auth.models import Permission, User
from django.test import Client

from arena import clock, logs
from arena.models import GateBlock, Job, Reply
from arena.operations import computing, counters, heartbeat, queues
from inference.models import Deployment, EngineEndpoint, Spend
from ranking import counts
from ranking.models import BoardSnapshot, BoardTrouble, FitRun, PublishingState, Suspicion
from tests import factories
from tests.arena.views_help import Person, url

PROMPT = "canary-prompt-5e1"
LONG_AGO = "2026-01-01T00:00:00+00:00"


def staff(name: str = "op", may: bool = True, is_staff: bool = True) -> Client:
    user = User.objects.create_user(name, is_staff=is_staff)
    if may:
        user.user_permissions.add(Permission.objects.get(codename="view_ops"))
    client = Client()
    client.force_login(user)
    return client


def busy(valkey: redis.Redis, monkeypatch: Any, engine: dict[str, Any] | None = None) -> Person:
    """Battles, votes, a failure, a block, a job, spending, an open turn, every process alive; and the tick that sees it."""
    counters.advance(valkey, {})
    person = Person()
    factories.ring()
    EngineEndpoint.objects.update(daily_cap=Decimal("5.00"))
    Deployment.objects.update(price_in=Decimal("1"), price_out=Decimal("2"))
    deployment = Deployment.objects.get()
    for _ in range(3):
        battle = person.ready(a=factories.outcome(), b=factories.outcome())
        person.post(url(battle, "vote/"), choice="a", turn=1)
    factories.finish(factories.started(person.visitor, PROMPT), factories.outcome(error="timeout"))
    Reply.objects.update(deployment=deployment)
    factories.started(person.visitor, PROMPT)
    GateBlock.objects.create(visitor=person.visitor, policy="1", category="weapons", rule="r", prompt=PROMPT)
    Job.objects.create(kind="refit", state="failed")
    Spend.objects.create(endpoint=deployment.endpoint, day=clock.now().date(), cost=Decimal("1.25"))
    beats(monkeypatch, str(deployment.pk))
    ranked()
    later = clock.now() + counters.LAG + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    monkeypatch.setattr(computing.engines, "ask_all", _asked(engine or ENGINE))
    monkeypatch.setattr(computing.state, "processes", lambda path: {"valkey": 1})
    before = {"at": (later - timedelta(seconds=10)).isoformat(), "engines": [{"name": "stub", "output_tokens": 100}]}
    computing.snapshot.store(before, valkey)
    assert computing.refresh()
    return person


def ranked() -> None:
    """Boards, one of which fails; a run that was begun again; a publication; a suspicion."""
    counts.absorb()
    moment = clock.now()
    BoardSnapshot.objects.create(origin="live", votes=3, seed=1, board={}, published_at=moment)
    BoardTrouble.objects.create(origin="live", category="code", error="ValueError", times=3, at=moment)
    run = {"looked": 12, "fitted": 2, "failed": 1, "waiting": 4, "interrupted": 1}
    FitRun.objects.create(begun_at=moment - timedelta(seconds=2.5), ended_at=moment, **run)
    PublishingState.objects.create(served=moment)
    for code in ("j", "k"):
        Suspicion.objects.create(detector="swarm", kind="window", code=code, votes=7)


ENGINE = {
    "name": "stub", "kind": "engine", "state": "up", "running": 2, "waiting": 1, "pages": 100, "pages_used": 40,
    "output_tokens": 600, "fairness": 0.9, "clients": 3, "largest_share": 0.5, "spread": 12.0,
    "refused": 5, "shed": 4, "expired": 3,
    "adapters": 2000, "adapters_resident": 30, "adapters_loaded": 90, "adapters_evicted": 60, "adapters_failed": 1,
    "queue": queues.parse(json.dumps({"policy": "vtc_locality", "clients": [
        {"client": "visitor:0199e5a0-0000-7000-8000-000000000001", "group": "k1-00112233445566778899", "service": 1234.0,
         "counter": 56789.5, "group_counter": 4321.0, "waiting": 7, "admissions": 11,
         "mean_wait_s": 0.125, "longest_wait_s": 2.5},
    ]}).encode()),
}  # fmt: skip


def _asked(row: dict[str, Any]):
    async def ask_all(endpoints: list[EngineEndpoint]) -> list[dict[str, Any]]:
        return [dict(row)] if endpoints else []

    return ask_all


def beats(monkeypatch: Any, deployment: str) -> None:
    figures: dict[str, dict[str, Any]] = {
        "web": {"sse": 4, "sockets": 2, "overflows": 1, "loop_lag_s": 0.01},
        "worker-generate": {
            "open_turns": 1, "room": 600, "leases_lost": 2, "events": 50, "losses": 1, "flush_s": 0.002,
            "lanes": {deployment: {"running": 2, "waiting": 1, "open": 0}},
            "queues": {deployment: queues.rows([{"client": "exam:5", "group": "exam:5", "service": 77, "waiting": 1}])},
        },
        "worker-batch": {},
        "beat": {},
    }  # fmt: skip
    with monkeypatch.context() as patch:
        for process, told in figures.items():
            patch.setattr(logs, "PROCESS", process)
            heartbeat.tell(told)


def told(valkey: redis.Redis) -> dict[str, Any]:
    """Figures in which every part of the page has something to say, as worker-batch would have left them."""
    moment = clock.now().isoformat()
    pair = [0.4, 2.5]
    deployments = {"d": {"label": "big on gpu", "price_in": 1.0, "price_out": 2.0}}
    latency = {name: {"replies": 9, "failed": 1, "first": pair, "full": pair} for name in ("d", "")}
    served = [{"name": "0123abcdef", "replies": 1234, "tokens_in": 5000, "tokens_out": 6000, "cost": 17000}]
    hours = {f"2026-01-01T{hour:02}:00:00+00:00": [90 * hour, 40 * hour] for hour in range(24)}
    data = {
        "at": moment,
        "queues": {"generate": 200, "rank": 1, "default": 3, "export": 0},
        "turns": {"waiting": 41, "running": 600, "oldest_s": 93.0},
        "backlog": {"reports": 1, "appeals": 2, "flagged": 3, "pending": 10_000, "unenriched": 5, "votes_uncounted": 6},
        "jobs": {"running": 1, "failed": 2},
        "spending": [{"endpoint": "stub", "cost": 5.2, "cap": 5.0}, {"endpoint": "gpu", "cost": 1234.5, "cap": 2000.0}],
        "deployments": deployments,
        "paused": True,
        "disk": {"free_bytes": 5 * 10**9, "size_bytes": 10**11},
        "versions": {"agon": "1.2", "python": "3.11"},
        "counters": [],
        "engines": [ENGINE | {"tokens_per_s": 1234.5}, {"name": "gpu", "kind": "vllm", "state": "down"}],
        "hour": {
            "at": moment, "latency": latency, "failures": [["timeout", 1400]], "hours": hours,
            "clients": served, "groups": served,
        },
        "ranking": {
            "run": {
                "state": "failed", "again": 2, "begun_at": moment, "ended_at": moment, "seconds": 2.5, "looked": 12,
                "fitted": 2, "failed": 1, "waiting": 4, "error": "ValueError",
            },
            "boards": {"known": 12, "failed": 1, "troubles": [
                {"board": "live · code", "since": moment, "times": 3, "error": "ValueError"}]},
            "publication": {"served": moment, "changed": None, "next": moment, "overdue": LONG_AGO},
            "log": {"lines": 1234, "public": 1000, "hidden": 5, "oldest": LONG_AGO, "earlier": None},
            "suspicions": {"swarm": 2},
        },
        "others": [{"process": "valkey", "instance": "pid 1", "resident_bytes": 10**7, "cpu_s": 4.0}],
    }  # fmt: skip
    computing.snapshot.store(data, valkey)
    return data
