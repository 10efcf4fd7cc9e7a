"""Bad input gets its words and leaves no row; a prompt sent twice is one turn; a full disk loses nothing that was whole."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections
from kombu.exceptions import OperationalError as BrokerDown

from arena import turns
from arena.generation import queue
from arena.models import Battle, Side, Turn, Vote
from arena.models.battles import BattleState
from tests import factories
from tests.arena.test_every_route import counts
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]

RAW_ERRORS = re.compile(r"Traceback|Exception|psycopg|django\.|redis|SQLSTATE|could not|DETAIL:", re.IGNORECASE)


def words(response: object) -> str:
    """What the page says, which is never a raw error."""
    page = response.content.decode()  # type: ignore[attr-defined]
    assert not RAW_ERRORS.search(page), RAW_ERRORS.findall(page)
    return page


# --- prompts ----------------------------------------------------------------------------------------------------------

PROMPTS = {
    "empty": ("", 400, "Please write something first"),
    "blank": (" \n\t ", 400, "Please write something first"),
    "nothing but unseen controls": ("\u202e\x07\U000e0041", 400, "Please write something first"),
    "NUL": ("a\x00b", 400, "cannot be stored"),
    "too long": ("x" * 30_001, 413, "the limit is 30000"),
    "longer than a form may be": ("x" * 1_100_000, 413, "Too much text"),
}


@pytest.mark.parametrize("case", PROMPTS, ids=list(PROMPTS))
@pytest.mark.parametrize("htmx", [False, True], ids=["form", "htmx"])
@pytest.mark.parametrize("where", ["new battle", "next turn"])
def test_a_prompt_that_cannot_be_sent_gets_its_words_and_leaves_no_row(case: str, htmx: bool, where: str) -> None:
    prompt, status, said = PROMPTS[case]
    person = Person()
    path = "/battles/" if where == "new battle" else url(person.ready(), "turns/")
    factories.ring()
    before = counts()
    response = person.post(path, htmx=htmx, prompt=prompt, key=str(uuid4()))
    assert response.status_code == status
    assert said in words(response)
    assert counts() == before
    assert Battle.objects.filter(state=BattleState.STREAMING).count() == 0


@pytest.mark.parametrize("body", [b"prompt=%ED%A0%80x&key=", b"prompt=%FF%FE&key=", b"prompt=\xff\x00&key="])
def test_bytes_that_are_no_text_are_refused_or_replaced_and_never_break_a_row(body: bytes) -> None:
    """A form cannot carry half of a character: what is no UTF-8 arrives as U+FFFD, what cannot be stored is refused."""
    person = Person()
    factories.ring()
    body += f"{uuid4()}&csrfmiddlewaretoken={person.token}".encode()
    response = person.raw.post("/battles/", body, "application/x-www-form-urlencoded")
    assert response.status_code in (303, 400)
    stored = [turn.prompt.text for turn in Turn.objects.select_related("prompt")]
    assert len(stored) == (response.status_code == 303)
    assert all("\ufffd" in text and "\x00" not in text for text in stored)


@pytest.mark.parametrize("path", ["/", "battle"])
def test_the_limit_is_shown_before_anything_is_sent(path: str, settings: object) -> None:
    settings.PROMPT_MAX_CHARS = 1234
    person = Person()
    page = words(person.get("/" if path == "/" else url(person.ready())))
    assert re.search(r"1[,.\u202f\xa0]?234", page)
    counter = re.search(r"<[^>]*data-limit[^>]*>|<textarea[^>]*>", page)
    assert counter, "the box or its counter knows the limit"


@pytest.mark.parametrize("key", ["", "x", "0", "a" * 400, "%00", "{}"])
def test_a_form_without_a_real_key_is_incomplete(key: str) -> None:
    person = Person()
    factories.ring()
    before = counts()
    response = person.start("Why?", key=key)
    assert response.status_code == 400 and "Reload the page" in words(response)
    assert counts() == before


# --- the same form twice ----------------------------------------------------------------------------------------------


def at_once(times: int, send: Callable[[], object]) -> list[object]:
    """The same request from as many threads, each with a connection of its own, as in several web processes."""

    def one(_: int) -> object:
        try:
            return send()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_a_double_click_is_one_battle() -> None:
    person, key = Person(), str(uuid4())
    factories.ring()
    first, again = person.start("Why?", key=key), person.start("Why?", key=key)
    assert first.status_code == again.status_code == 303
    assert first["Location"] == again["Location"]
    assert Battle.objects.count() == Turn.objects.count() == 1


def test_the_same_form_from_many_processes_is_one_battle() -> None:
    person, key = Person(), str(uuid4())
    factories.ring()
    answers = at_once(6, lambda: person.start("Why?", key=key))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer["Location"] for answer in answers}) == 1
    assert Battle.objects.count() == Turn.objects.count() == 1
    assert counts()["arena.Conversation"] == 2 and counts()["arena.Reply"] == 2


@pytest.mark.parametrize("verb", ["turns/", "rematch/"])
def test_the_same_next_turn_from_many_processes_is_one_turn(verb: str) -> None:
    person, key = Person(), str(uuid4())
    battle = person.voted()
    before = Turn.objects.count()
    answers = at_once(6, lambda: person.post(url(battle, verb), prompt="And then?", key=key))
    assert {answer.status_code for answer in answers} == {303}
    assert Turn.objects.count() == before + 1


def test_one_key_belongs_to_one_person() -> None:
    """Somebody else's key gives nobody their battle."""
    key = str(uuid4())
    factories.ring()
    mine, theirs = Person().start("Why?", key=key), Person().start("Why?", key=key)
    assert mine.status_code == theirs.status_code == 303
    assert mine["Location"] != theirs["Location"]


# --- a disk that is full ----------------------------------------------------------------------------------------------


@contextmanager
def full_disk(table: str) -> Iterator[None]:
    """Every insert into `table` fails as PostgreSQL fails when the disk is full (53100)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER no_space BEFORE INSERT ON {table} EXECUTE FUNCTION no_space()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_space CASCADE")


@pytest.mark.parametrize("table", ["arena_battle", "arena_conversation", "arena_message", "arena_turn", "arena_reply"])
def test_a_disk_that_fills_up_in_mid_prompt_leaves_nothing(table: str) -> None:
    person, key = Person(), str(uuid4())
    factories.ring()
    before = counts()
    with full_disk(table):
        response = person.start("Why?", key=key)
        assert response.status_code == 503 and response["Retry-After"]
        assert "Try again in a minute" in words(response)
    assert counts() == before
    assert person.start("Why?", key=key).status_code == 303  # the same form again, when there is room


@pytest.mark.parametrize("table", ["arena_vote", "arena_voteevent"])
def test_a_vote_on_a_full_disk_is_no_vote_and_reveals_nobody(table: str) -> None:
    person = Person()
    battle = person.ready()
    before = counts()
    with full_disk(table):
        response = person.post(url(battle, "vote/"), choice="a", turn=1)
    assert response.status_code == 503
    assert "Contestant" not in words(response)
    battle.refresh_from_db()
    assert battle.state == BattleState.READY and counts() == before
    assert person.post(url(battle, "vote/"), choice="a", turn=1).status_code == 303
    assert Vote.objects.count() == 1


def test_answers_that_do_not_fit_on_the_disk_can_be_stored_later() -> None:
    turn = factories.started(Person().visitor)
    turns.claim(turn.id, "w")
    before = counts()
    outcomes = {side: factories.outcome("An answer") for side in Side}
    with full_disk("arena_message"):
        with pytest.raises(OperationalError):  # what the worker tries again for, while its lease lasts
            turns.finish(turn.id, "w", outcomes)
    turn.refresh_from_db()
    assert turn.state == "running" and counts() == before
    assert turns.finish(turn.id, "w", outcomes)[0] == BattleState.READY


def test_a_change_that_cannot_be_logged_is_not_made() -> None:
    person, made = Person(), factories.ring()[0]
    person.raw.force_login(User.objects.create_superuser("root"))
    before = counts()
    retire = {"action": "retire", "_selected_action": [made.pk], "csrfmiddlewaretoken": person.token}
    with full_disk("arena_auditentry"):
        response = person.raw.post("/admin/arena/contestant/", retire)
    assert response.status_code == 503
    assert "Try again in a minute" in words(response)
    made.refresh_from_db()
    assert made.visibility == "public" and counts() == before


# --- a broker that takes nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BrokerDown("down"), OSError("gone")])
def test_a_turn_whose_message_is_lost_is_stored_and_found_by_the_sweeper(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    person = Person()
    factories.ring()
    monkeypatch.setattr(queue.app, "send_task", refuse)
    assert person.start("Why?").status_code == 303
    assert Turn.objects.get().state == "queued"
