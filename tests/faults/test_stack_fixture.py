"""The stack itself: every process of the table answers, and each comes back after kill -9."""

import json
import urllib.request

import pytest

from arena.models import Contestant
from tests.stack import Stack

pytestmark = pytest.mark.faults


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return answer.status, answer.read()


def test_the_site_answers_and_models_read_its_database(stack: Stack) -> None:
    assert get(f"{stack.url}/healthz") == (200, b"ok\n")
    assert json.loads(get(f"{stack.url}/readyz")[1]) == {"status": "ok"}
    assert Contestant.objects.count() >= 4
    assert stack.valkey().ping()


@pytest.mark.parametrize("name", ["web", "worker-generate", "worker-batch", "beat", "engine", "valkey", "postgres"])
def test_a_killed_process_starts_again(stack: Stack, name: str) -> None:
    before = stack.pid(name)
    stack.kill(name)
    stack.start(name)
    assert stack.pid(name) != before
    assert get(f"{stack.url}/healthz")[0] == 200
    assert Contestant.objects.count() >= 4
