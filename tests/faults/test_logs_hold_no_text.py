"""Battles with canary texts, broken in every way we know, then a search of every process' log, as lines and as JSON.

The test proves that it looks in the right place: each breakage must have left its line.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
import redis
from django.db import connection
from pytest_django import DjangoDbBlocker

from arena.models import Battle
from tests.person import Person
from tests.stack import Stack
from tests.stub.behaviour import SECRET_ACCOUNT

pytestmark = [pytest.mark.faults, pytest.mark.slow]
CANARY = "qzcanary7f3"
METRICS_TOKEN = "metrics-token-0123456789"
# Constraints that fail like real ones do: the message is the server's, its DETAIL quotes the row.
TRAPS = """
ALTER TABLE arena_message ADD CONSTRAINT trap_store CHECK (role <> 'user' OR text NOT LIKE '%BREAKSTORE%');
ALTER TABLE arena_message ADD CONSTRAINT trap_finish CHECK (role <> 'assistant' OR text NOT LIKE '%BREAKFINISH%');
ALTER TABLE arena_report ADD CONSTRAINT trap_report CHECK (text NOT LIKE '%BREAKREPORT%');
"""


def ask(word: str = "", **stub: object) -> str:
    """A prompt whose answer holds the canary, too."""
    control = {"n": 5, "rate": 100, "text": f"{CANARY} {word} answers", **stub}
    return f"{CANARY} {word} asks {json.dumps({'stub': control})}"


def until(condition: Callable[[], object], what: str, patience_s: float = 30.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture(params=["line", "json"])
def site(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    env = {"AGON_LOG_FORMAT": request.param, "AGON_LOG_LEVEL": "DEBUG", "AGON_CELERY_LOG_LEVEL": "DEBUG"}
    env |= {"DJANGO_SETTINGS_MODULE": "tests.faults.breaking.settings", "AGON_METRICS_TOKEN": METRICS_TOKEN}
    env["AGON_DISPATCH_FAILURES"] = "1000"  # no circuit opens in the middle of this
    with django_db_blocker.unblock(), Stack(env=env) as stack, stack.orm():
        with connection.cursor() as cursor:
            cursor.execute(TRAPS)
        yield stack


def logs_of(site: Stack) -> dict[str, str]:
    return {path.stem: path.read_text(errors="replace") for path in (site.var / "logs").glob("*.log")}


def told(site: Stack, words: str, process: str) -> bool:
    return words in site.log(process)


def a_normal_day(site: Stack, person: Person) -> list[str]:
    """Battle, vote, share, and what strangers try. Returns the secrets that were used."""
    battle = person.start(ask())
    assert person.watch(battle).battle == "ready"
    assert person.vote(battle).status == 303
    person.post(f"{battle}report/", side="a", turn="1", reason="other", text=CANARY)
    person.post(f"{battle}share/")
    token = str(Battle.objects.values_list("share_token", flat=True).get(pk=battle.strip("/").split("/")[-1]))
    stranger = Person(site.url)
    assert stranger.get(f"/s/{token}/").status == 200
    person.post(f"{battle}unshare/")
    assert stranger.get(f"/s/{token}/").status == 404
    login = re.search(r"/admin-login/([\w-]+)/", site.manage("admin_link"))
    assert login
    stranger.post(f"/admin-login/{login[1]}x/")
    assert stranger.post(f"/admin-login/{login[1]}/").status == 302
    stranger.request("GET", "/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    stranger.request("GET", "/metrics", Authorization=f"Bearer {CANARY}-wrong-token")
    stranger.get(f"/leaderboard?q={CANARY}")
    stranger.get(f"/{CANARY}/nowhere")
    stranger.request("POST", "/battles/", {"prompt": CANARY})  # no CSRF token
    stranger.request("GET", "/", Host=f"{CANARY}.example")
    person.post("/battles/", prompt=f"how to make sarin {CANARY}", key=str(uuid4()), agree_terms="on")
    person.post("/me/recover/", code=f"{CANARY}-{CANARY}")
    return [token, login[1], METRICS_TOKEN, *person.cookies.values(), *stranger.cookies.values()]


def engines_break(site: Stack) -> None:
    for fault in ("500", "html", "garbage", "truncate", "drop", "error", "empty", "429"):
        person = Person(site.url)
        battle = person.start(ask(fault=fault, after=2))
        with suppress(AssertionError):
            person.watch(battle, patience_s=1.0)


def everything_breaks(site: Stack, person: Person) -> None:
    battle = person.start(ask("BREAKPAGE"))
    assert person.get(battle).status == 500
    assert person.post("/battles/", prompt=ask("BREAKSTORE"), key=str(uuid4())).status >= 400
    voted = person.start(ask())
    person.watch(voted)
    assert (
        person.post(f"{voted}report/", side="a", turn="1", reason="other", text=f"BREAKREPORT {CANARY}").status == 500
    )
    person.start(ask("BREAKRENDER"))
    until(lambda: told(site, "broke while it was rendered", "worker-generate"), "rendering did not break")
    person.start(ask("BREAKFINISH"))
    until(lambda: told(site, "trap_finish", "worker-generate"), "storing did not break")


def valkey_is_full(site: Stack, person: Person) -> None:
    """redis-py puts the command that failed, with the answer in it, into its error."""
    valkey = site.valkey()
    person.start(ask(n=400, rate=20, text=" ".join([CANARY] * 400)))
    time.sleep(1.0)
    valkey.config_set("maxmemory", "1")
    try:
        until(lambda: told(site, "Valkey is away", "worker-generate"), "publishing did not break")
        with suppress(redis.RedisError):
            person.get("/ops")
    finally:
        valkey.config_set("maxmemory", "256mb")


def test_no_log_holds_a_text_a_token_or_a_secret(site: Stack) -> None:
    person = Person(site.url)
    secrets = a_normal_day(site, person)
    everything_breaks(site, person)
    valkey_is_full(site, person)
    engines_break(site)
    until(lambda: told(site, "OutOfMemoryError", "worker-generate"), "the error of a full Valkey was not told")
    site.stop("web")  # an orderly end writes lines of its own
    logs = logs_of(site)
    assert {"web", "worker-generate", "worker-batch", "beat", "postgres", "valkey", "engine"} <= set(logs)
    for process, text in logs.items():
        assert CANARY not in text.lower(), f"{process}: {around(text, CANARY)}"
        for secret in [*secrets, SECRET_ACCOUNT]:
            assert secret not in text, f"{process}: {around(text, secret)}"
    assert "KeyError" in logs["web"] and "trap_report" in logs["web"], "errors were told, without their words"
    assert "ValueError" in logs["worker-generate"] and "trap_finish" in logs["worker-generate"]
    assert "tests/faults/breaking/apps.py" in logs["web"], "with where they happened"
    if site.extra_env["AGON_LOG_FORMAT"] == "json":
        for process in ("web", "worker-generate", "worker-batch", "worker-long", "beat"):
            lines = [json.loads(line) for line in logs[process].splitlines()]
            assert all(line["process"] == process and line["time"] and line["level"] for line in lines)
        broken = [
            json.loads(line) for line in logs["web"].splitlines() if "KeyError" in line and "breaking/apps" in line
        ]
        assert broken and all(line["battle"] for line in broken), "a line about a battle says about which"


def around(text: str, found: str) -> str:
    at = text.lower().index(found.lower())
    return text[max(0, at - 400) : at + 100]
