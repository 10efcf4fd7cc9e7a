"""Which battle a line is about, the line of a request, and what a process is called."""

import asyncio
import logging
import subprocess
import sys

import pytest

from arena import logs
from arena.aio import in_db
from tests.arena.views_help import Person, url


def about() -> str:
    return dict(logs.circumstances()).get("battle", "")


def test_a_line_is_about_the_battle_of_its_context() -> None:
    with logs.battle("b1"):
        assert about() == "b1"
        with logs.battle(None):
            assert about() == ""
        assert about() == "b1"
    assert about() == ""


async def test_tasks_do_not_share_their_battle_and_database_threads_inherit_it() -> None:
    async def one(name: str) -> str:
        logs.about(name)
        await asyncio.sleep(0)
        return await in_db(about)

    assert await asyncio.gather(one("b1"), one("b2")) == ["b1", "b2"]
    assert about() == ""


def test_celery_tasks_begin_without_a_battle() -> None:
    with logs.battle("the last one's"):
        logs.forget_the_last_task()
        assert about() == ""


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/x/arena/serve.py", "--host", "0.0.0.0"], "web"),
        (["/x/celery/__main__.py", "-q", "-A", "arena", "worker", "-n", "worker-batch@%h"], "worker-batch"),
        (["/x/celery/__main__.py", "-A", "arena", "worker", "--hostname=worker-long@%h"], "worker-long"),
        (["/x/celery/__main__.py", "-q", "-A", "arena", "beat", "--scheduler", "x"], "beat"),
        (["manage.py", "refit"], "manage"),
    ],
)
def test_a_process_knows_its_name(argv: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert logs.process_name() == name


@pytest.mark.django_db
@pytest.mark.usefixtures("valkey")
def test_a_request_leaves_one_line_without_address_query_or_token(caplog: pytest.LogCaptureFixture) -> None:
    person = Person()
    battle = person.ready()
    with caplog.at_level(logging.DEBUG, "arena.request_log"):
        person.get(url(battle))
        person.get("/s/" + "T" * 43 + "/")
        person.get("/leaderboard?q=secret-query")
        person.get("/nowhere/secret-path")
        person.get("/healthz")
    lines = [record for record in caplog.records if record.name == "arena.request_log"]
    told = [(r.facts["method"], r.facts["route"], r.facts["status"]) for r in lines]
    assert told == [
        ("GET", "b/<uuid:battle>/", 200),
        ("GET", "^s/(?P<token>[A-Za-z0-9_-]{43})/$", 404),
        ("GET", "leaderboard", 200),
        ("GET", "unknown", 404),
        ("GET", "healthz", 200),
    ]
    assert [r.levelno for r in lines][-2:] == [logging.INFO, logging.DEBUG]
    text = "\n".join(logs.Line().format(record) for record in caplog.records)
    assert "127.0.0.1" not in text and "secret" not in text and "TTTT" not in text
    assert about() == ""


@pytest.mark.django_db
@pytest.mark.usefixtures("valkey")
def test_request_lines_can_be_turned_off_and_carry_their_battle(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("arena.request_log.log.log", lambda *_, **__: said.append(about()))
    person = Person()
    battle = person.ready()
    person.get(url(battle))
    settings.LOG_REQUESTS = False
    person.get(url(battle))
    assert said == [str(battle.pk)]


def test_an_error_that_nobody_caught_is_logged_the_same_way() -> None:
    code = (
        "import sys, threading; sys.argv = ['celery', 'beat']\n"
        "import django; django.setup()\n"
        "t = threading.Thread(target=lambda: int('canary-text')); t.start(); t.join()\n"
        "int('canary-text')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("nobody caught this") == 2 and "canary" not in done.stderr
