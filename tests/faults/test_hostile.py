"""What the real processes say when something is full, gone or takes no writes, and to requests that are meant to hurt them."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from arena import installation
from arena.embedded import paths
from arena.models import Battle, Turn
from arena.models.battles import BattleState, TurnState
from inference.models import Deployment
from tests.arena.test_every_route import counts
from tests.faults.test_midstream import Watching
from tests.person import Page, Person, Screen
from tests.stack import Stack

pytestmark = pytest.mark.faults
QUICK = json.dumps({"stub": {"n": 3, "rate": 0}})
SLOW = json.dumps({"stub": {"n": 40, "rate": 15}})


@pytest.fixture
def person(stack: Stack) -> Person:
    return Person(stack.url)


def prompt(person: Person, words: str = QUICK) -> Page:
    return person.post("/battles/", prompt=words, key="00000000-0000-4000-8000-0000000000aa", agree_terms="on")


def pages_work(person: Person) -> bool:
    return all(person.get(path).status == 200 for path in ("/", "/leaderboard", "/methodology", "/me/"))


# --- Valkey -------------------------------------------------------------------------------------------------------------


@contextmanager
def valkey_full(stack: Stack) -> Iterator[None]:
    """Valkey is at its memory limit and takes no more writes (noeviction)."""
    with stack.valkey() as valkey:
        before = valkey.config_get("maxmemory")["maxmemory"]
        valkey.config_set("maxmemory", 1)
        try:
            yield
        finally:
            valkey.config_set("maxmemory", before)


def test_a_full_valkey_takes_no_prompt_and_says_so(stack: Stack, person: Person) -> None:
    person.get("/")
    before = counts()
    with valkey_full(stack):
        refused = prompt(person)
        assert refused.status == 503 and refused.headers["Retry-After"]
        assert "cannot take prompts at this moment" in refused.text and "OOM" not in refused.text
        assert pages_work(person)
    after = counts()
    assert (after["arena.Battle"], after["arena.Turn"]) == (before["arena.Battle"], before["arena.Turn"])
    assert prompt(person).status == 303


def test_a_valkey_that_fills_up_in_mid_stream_costs_no_text(stack: Stack, person: Person) -> None:
    battle = person.start(SLOW)
    watching = Watching(person, battle)
    watching.until_text()
    with valkey_full(stack):
        time.sleep(1)
    screen = watching.end()
    assert screen.battle == "ready"
    assert [screen.text(side).split()[-1] for side in "ab"] == ["w40", "w40"]
    assert len(screen.text("a").split()) == 40


def test_without_valkey_pages_are_read_and_prompts_are_refused_in_words(stack: Stack, person: Person) -> None:
    person.get("/")
    before = counts()
    stack.kill("valkey")
    try:
        refused = prompt(person)
        assert refused.status == 503 and "cannot take prompts at this moment" in refused.text
        assert pages_work(person)
    finally:
        stack.start("valkey")
    assert counts()["arena.Turn"] == before["arena.Turn"]


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------


@contextmanager
def read_only(stack: Stack) -> Iterator[None]:
    """The database takes no writes, as a standby or a nearly full disk would have it; every process has new sessions."""
    with stack.environment():
        url = paths.database_url("postgres")

    def switch(on: bool) -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER DATABASE agon SET default_transaction_read_only = {'on' if on else 'off'}")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'agon'")
        installation.disconnect()  # this process's own session went, too

    switch(True)
    try:
        yield
    finally:
        switch(False)


def test_a_read_only_database_is_read_and_takes_neither_prompts_nor_votes(stack: Stack, person: Person) -> None:
    battle = person.start(QUICK)
    assert person.watch(battle).battle == "ready"
    before = counts()
    with read_only(stack):
        for refused in (prompt(person), person.vote(battle), person.post(f"{battle}turns/", prompt="x", key="k")):
            assert refused.status in (400, 503), refused.text[:300]
            assert "read-only" not in refused.text
        assert prompt(person).status == person.vote(battle).status == 503
        assert "Try again in a minute" in prompt(person).text
        assert person.get(battle).status == 200 and pages_work(person)
    after = counts()
    assert {name: after[name] for name in ("arena.Battle", "arena.Turn", "arena.Vote")} == {
        name: before[name] for name in ("arena.Battle", "arena.Turn", "arena.Vote")
    }
    assert person.vote(battle).status in (200, 303)


# --- models and queues --------------------------------------------------------------------------------------------------


def test_a_model_that_is_taken_away_between_draw_and_run_is_a_retry_not_an_error(stack: Stack, person: Person) -> None:
    stack.stop("worker-generate")
    battle = person.start(QUICK)
    Deployment.objects.update(enabled=False)
    try:
        stack.start("worker-generate")
        screen = person.watch(battle)
        assert screen.battle == "failed" and screen.ended == {"a": "failed", "b": "failed"}
        page = person.get(battle).text
        assert "no_deployment" not in page and "Retry A" in page and "Retry B" in page
        assert person.vote(battle).status == 409
    finally:
        Deployment.objects.update(enabled=True)
    time.sleep(5.5)  # the worker reads the deployments again
    for side in "ab":
        assert person.post(f"{battle}retry/", side=side).status == 303
        assert side in person.watch(battle).ended
    assert Battle.objects.get(pk=battle.split("/")[2]).state == BattleState.READY


def test_a_full_worker_says_that_the_arena_is_busy_and_takes_the_turn_when_there_is_room() -> None:
    with Stack(env={"AGON_OPEN_TURNS": "2"}) as stack, stack.orm():
        people = [Person(stack.url) for _ in range(4)]
        battles = [person.start(SLOW) for person in people]
        time.sleep(1)
        assert Turn.objects.filter(state=TurnState.RUNNING).count() == 2
        told = next(iter(people[-1].events(battles[-1])))
        assert (told.name, told.data["state"]) == ("status", "busy")
        screens = [person.watch(battle) for person, battle in zip(people, battles, strict=True)]
        assert [screen.battle for screen in screens] == ["ready"] * 4
        assert all(screen.text("a").split()[-1] == "w40" for screen in screens)


def test_a_fast_and_a_slow_model_cannot_be_told_apart_by_their_cadence(stack: Stack, person: Person) -> None:
    """S6 with real processes: every frame carries as many characters of one side as of the other, until one has ended."""
    battle = person.start(json.dumps({"stub": {"n": 60, "rate": 40, "spread": 0.8}}))
    screen, sizes = Screen(), []
    for told in person.events(battle):
        if told.name == "frame" and not screen.ended:
            sizes.append({side: len(part.get("add", part.get("tail", ""))) for side, part in told.data.items()})
        screen.apply(told)
    assert screen.battle == "ready" and screen.text("a").split()[-1] == screen.text("b").split()[-1] == "w60"
    common = sizes[:-1]  # with the last one a side may close its block
    assert len(common) > 5
    assert all(size["a"] == size["b"] for size in common)


# --- requests that are meant to hurt ---------------------------------------------------------------------------------------


def raw(stack: Stack, *pieces: bytes, pause: float = 0.0, patience: float = 20.0) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", stack.port), timeout=patience)) as client:
        got = b""
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
            while piece := client.recv(65536):
                got += piece
        except OSError:
            pass
        return got


HEAD = b"POST /battles/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def test_ten_megabytes_are_413_announced_or_not(stack: Stack, person: Person) -> None:
    made = ("arena.Visitor", "arena.Battle", "arena.Turn", "arena.GateBlock")  # workers may still write about others
    before = counts()
    announced = raw(stack, HEAD + b"Content-Length: 10485760\r\n\r\n", b"x" * 65536)
    assert b" 413 " in announced.split(b"\r\n")[0]
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    unannounced = raw(stack, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 160)
    assert b" 413 " in unannounced.split(b"\r\n")[0]
    after = counts()
    assert [after[name] for name in made] == [before[name] for name in made]
    assert pages_work(person)


def test_slow_requests_end_and_nobody_waits_for_them(stack: Stack, person: Person) -> None:
    holding = [socket.create_connection(("127.0.0.1", stack.port)) for _ in range(300)]
    for client in holding:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
    begun = time.monotonic()
    assert pages_work(person)
    assert time.monotonic() - begun < 8, "before the first of them is given up"
    holding[0].settimeout(20)
    assert b" 408 " in holding[0].recv(4096)
    assert time.monotonic() - begun > 8
    for client in holding:
        client.close()


def test_a_socket_that_answers_no_ping_is_let_go_by_the_server_s_own_clock(stack: Stack) -> None:
    """Half a handshake has the time of a head; what comes after it is held by pings (20 s, in uvicorn)."""
    half = raw(stack, b"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgr")
    assert half.startswith(b"HTTP/1.1 408")
