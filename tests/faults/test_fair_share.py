"""A flood from one network costs a visitor from another at most a place or two, and operators can watch it."""

import json
import time
import urllib.request
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from arena.operations import snapshot
from tests.bench import _e2e_wait as wait
from tests.stack import Stack

pytestmark = pytest.mark.faults
PATIENCE_S = 30.0


def test_nothing_in_front_of_the_engine_holds_a_backlog(stack: Stack) -> None:
    """Web, Celery, worker and HTTP client pass everything on: the queue is where the policy is."""
    visitors = [wait.Visitor(stack.port, wait.FLOOD_FROM) for _ in range(16)]
    prompt = json.dumps({"stub": {"n": 2, "rate": 0, "hold": 1}})
    before = stack.stub("/stub/stats")["active"]
    battles = [visitor.ask(prompt) for visitor in visitors for _ in range(4)]
    deadline = time.monotonic() + PATIENCE_S
    while stack.stub("/stub/stats")["active"] < before + 2 * len(battles):
        assert time.monotonic() < deadline, stack.log("worker-generate")[-2000:]
        time.sleep(0.1)
    with stack.valkey() as valkey:
        assert valkey.llen("generate") == 0
    assert wait.ended(battles) == set()
    stack.stub("/stub/go", "POST")
    while wait.ended(battles) < set(battles):
        assert time.monotonic() < deadline + PATIENCE_S
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.demo_model
def test_a_visitor_beside_a_flood_waits_for_two_completions(django_db_blocker: Any) -> None:
    """On the real engine; `make bench NAME=fairness` measures it at full size, beside FCFS (under which every visit is late)."""
    seen: list[list[float]] = []

    with django_db_blocker.unblock():
        visits = wait.visits("", count=4, most=32, look=lambda stack: seen.append(counters(stack)))
    late = [visit for visit in visits if visit.wait_s > visit.bound_s]
    # One may meet a moment when this process had no processor to poll with.
    assert len(visits) == 4 and len(late) <= 1, visits
    assert max(visit.front_s for visit in visits) < 3
    first, last = seen
    assert len(last) == 1 + wait.FLOODERS and sum(last) > sum(first) > 0, "operators see the counters move"


def counters(stack: Stack) -> list[float]:
    """The counters that /ops shows, of the clients of our engine, when the next figures have come."""
    with stack.valkey() as valkey:
        valkey.delete(snapshot.KEY)
        deadline = time.monotonic() + PATIENCE_S
        while (told := snapshot.read(valkey)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    rows = [row for engine in told.data["engines"] for row in engine.get("queue", {}).get("rows", [])]
    page = ops_page(stack)
    assert all(row["name"] in page for row in rows)
    return [row["counter"] for row in rows]


def ops_page(stack: Stack) -> str:
    """/ops, as an operator gets it."""
    user, _made = User.objects.get_or_create(username="fair", defaults={"is_staff": True})
    user.user_permissions.add(Permission.objects.get(codename="view_ops"))
    client = Client()
    client.force_login(user)
    request = urllib.request.Request(f"{stack.url}/ops", headers={"Cookie": client.cookies["sessionid"].OutputString()})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.read().decode()
