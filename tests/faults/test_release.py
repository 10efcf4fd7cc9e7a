"""A release on the running site: said by people, passed by a moderator, written by the real worker, downloaded, recalled."""

import hashlib
import io
import time
import urllib.error
import urllib.request
from uuid import uuid4

import polars
import pytest
from django.contrib.auth.models import User

from arena.models import Battle, Enrichment
from arena.moderation import decisions
from datasets.models import Release
from tests.person import Person
from tests.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.slow]
PATIENCE_S = 60.0


def voted(person: Person, publish: bool) -> Battle:
    form = {"prompt": "Why is the sky blue?", "key": str(uuid4()), "agree_terms": "on"}
    page = person.post("/battles/", **form, **({"publish": "1"} if publish else {}))
    assert page.status == 303, page.text[:500]
    battle = page.headers["Location"]
    person.watch(battle)
    assert person.vote(battle).status in (200, 303)
    return Battle.objects.get(pk=battle.strip("/").split("/")[1])


def until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def test_from_a_battle_to_a_table_and_back(stack: Stack) -> None:
    yes, no = voted(Person(stack.url), publish=True), voted(Person(stack.url), publish=False)
    sides = [yes.conversation_a_id, yes.conversation_b_id]
    found = Enrichment.objects.filter(message__conversation__in=sides)
    until(lambda: found.count() == 4, "the detectors look at every message")
    moderator = User.objects.create_user(f"moderator-{uuid4().hex[:8]}")
    assert decisions.pass_battles([yes, no], moderator) == 2
    name = f"r{uuid4().hex[:8]}"

    stack.kill("worker-long")
    assert "start worker-long" in stack.manage("release", name), "it says that nobody works, and waits"
    assert Release.objects.get(name=name).state == "building"
    stack.start("worker-long")
    until(lambda: Release.objects.get(name=name).state != "building", "the worker takes up what waited")
    release = Release.objects.get(name=name)
    assert release.state == "published", release.job.message
    assert release.conversations == 2 and release.dropped["not_publishable"] >= 2, "ours, and those of earlier tests"

    base = f"{stack.url}/datasets/{name}/"
    for line in fetch(base + "SHA256SUMS").decode().splitlines():
        digest, path = line.split("  ")
        assert hashlib.sha256(fetch(base + path)).hexdigest() == digest
    table = polars.read_parquet(io.BytesIO(fetch(base + "data/train-00000-of-00001.parquet")))
    assert table["conversation"][0][0]["content"] == "Why is the sky blue?"
    assert table["language"].to_list() == ["English"] * 2

    recall = f"releases.recall(models.Release.objects.get(name='{name}'), None, 'Over.')"
    stack.manage("shell", "-c", f"from datasets import models, releases; {recall}")
    with pytest.raises(urllib.error.HTTPError) as gone:
        fetch(base + "data/train-00000-of-00001.parquet")
    assert gone.value.code == 410 and b"Over." in gone.value.read()
    assert name in fetch(f"{stack.url}/datasets").decode()
