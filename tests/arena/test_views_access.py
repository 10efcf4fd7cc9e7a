"""Who may ask what: owners only, real ids only, the right method, a CSRF token on every form, strict cookies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections

from arena import clock, visitors
from arena.models import Battle, GateBlock, Visitor, Vote
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

VERBS = {
    "turns/": {"prompt": "And then?", "key": "00000000-0000-4000-8000-000000000001"},
    "stop/": {},
    "retry/": {"side": "a"},
    "vote/": {"choice": "a", "turn": "1"},
    "rematch/": {"key": "00000000-0000-4000-8000-000000000002"},
    "share/": {},
    "unshare/": {},
    "report/": {"side": "a", "turn": "1", "reason": "other"},
}
POSTS = {**{f"/b/{{id}}/{verb}": data for verb, data in VERBS.items()}, "/battles/": {"prompt": "x"}, "/appeals/": {}}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("htmx", [False, True], ids=["form", "htmx"])
def test_a_battle_answers_to_its_owner_only(verb: str, htmx: bool) -> None:
    battle = Person().ready()
    for stranger in (Person(), Person(agreed=False)):
        assert stranger.post(url(battle, verb), htmx=htmx, **VERBS[verb]).status_code == 404
        assert stranger.get(url(battle), htmx=htmx).status_code == 404
    battle.refresh_from_db()
    assert battle.state == "ready" and battle.turns.count() == 1 and battle.share_token is None


def test_a_wrong_id_and_a_foreign_battle_look_the_same() -> None:
    stranger, battle = Person(), Person().ready()
    foreign, wrong = stranger.get(url(battle)), stranger.get(f"/b/{uuid4()}/")
    assert foreign.status_code == wrong.status_code == 404
    assert foreign.content == wrong.content


@pytest.mark.parametrize("bad", ["x", "1", "00000000", "..", "%00", "0" * 32 + "g", "' OR 1=1", "../../etc/passwd"])
def test_malformed_ids_are_404(bad: str) -> None:
    person = Person()
    assert person.get(f"/b/{bad}/").status_code == 404
    assert person.post(f"/b/{bad}/vote/", choice="a", turn=1).status_code == 404
    assert person.post("/appeals/", block=bad).status_code == 404
    assert person.get(f"/s/{bad}/").status_code == 404


@pytest.mark.parametrize("path", POSTS)
def test_what_changes_something_is_a_post(path: str) -> None:
    person = Person()
    battle = person.ready()
    response = person.get(path.format(id=battle.pk))
    assert response.status_code == 405 and response["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/b/{id}/", "/me/", "/datasets", "/terms", "/s/" + "x" * 43 + "/"])
def test_pages_are_read_only(path: str) -> None:
    person = Person()
    assert person.post(path.format(id=person.ready().pk)).status_code == 405


@pytest.mark.parametrize("path", ["/", "/b/{id}/", "/me/", "/datasets", "/terms", "/leaderboard", "/healthz"])
def test_a_page_can_be_asked_for_its_head(path: str) -> None:
    person = Person()
    assert person.raw.head(path.format(id=person.ready().pk)).status_code == 200


@pytest.mark.parametrize("htmx", [False, True], ids=["form", "htmx"])
def test_a_text_that_cannot_be_stored_is_refused_not_an_error(htmx: bool) -> None:
    person = Person()
    report = {"side": "a", "turn": 1, "reason": "other", "text": "a\x00b"}
    assert person.post(url(person.ready(), "report/"), htmx=htmx, **report).status_code == 400
    blocked = GateBlock.objects.create(visitor=person.visitor, policy="1", category="c", rule="r", prompt="x")
    assert person.post("/appeals/", htmx=htmx, block=blocked.pk, text="a\x00b").status_code == 400
    assert person.get("/models/%00/").status_code == 404
    assert person.get("/leaderboard?q=%00").status_code == 400


def test_newcomers_without_a_cookie_are_bounded_per_prefix(settings) -> None:
    settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE = 3, 1
    before = Visitor.objects.count()
    answers = [Person(agreed=False).start("", agree_terms="1").status_code for _ in range(5)]
    assert answers == [400, 400, 400, 429, 429]
    assert Visitor.objects.count() == before + 3


def test_a_longest_prompt_fits_into_a_form(settings) -> None:
    factories.ring()
    assert Person().start("\U0001f600" * settings.PROMPT_MAX_CHARS).status_code == 303
    assert Person().start("\U0001f600" * (settings.PROMPT_MAX_CHARS + 1)).status_code == 413
    assert Person().start("x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE).status_code == 413


@pytest.mark.parametrize("path", POSTS)
def test_no_form_without_its_csrf_token(path: str) -> None:
    person = Person()
    battle = person.ready()
    response = person.raw.post(path.format(id=battle.pk), POSTS[path])
    assert response.status_code == 403
    assert b"Reload the page" in response.content
    battle.refresh_from_db()
    assert battle.state == "ready" and battle.turns.count() == 1 and Battle.objects.count() == 1


def test_cookies_are_strict() -> None:
    person = Person(agreed=False)
    factories.ring()
    response = person.start(agree_terms="1")
    visitor = response.cookies[visitors.COOKIE]
    assert visitor["httponly"] and visitor["samesite"] == "Lax"
    assert person.get("/").cookies["csrftoken"]["samesite"] == "Lax"


def test_a_forged_visitor_cookie_is_a_stranger() -> None:
    person = Person()
    battle = person.ready()
    person.raw.cookies[visitors.COOKIE] = f"{person.visitor.pk.hex}:forged:signature"
    assert person.get(url(battle)).status_code == 404


def test_pages_of_a_person_are_never_cached() -> None:
    person = Person()
    battle = person.ready()
    for path in ("/", "/me/", url(battle)):
        assert "no-store" in person.get(path)["Cache-Control"]


def test_a_vote_waits_for_both_answers_and_comes_once() -> None:
    person = Person()
    turn = factories.started(person.visitor)
    assert person.post(url(turn.battle, "vote/"), choice="a", turn=1).status_code == 409
    battle = factories.finish(turn)
    assert person.post(url(battle, "vote/"), choice="a", turn=1).status_code == 303
    assert person.post(url(battle, "vote/"), choice="b", turn=1).status_code == 409
    assert Vote.objects.get().choice == "a"


def test_a_vote_after_expiry_is_gone() -> None:
    person = Person()
    battle = person.ready()
    Battle.objects.filter(pk=battle.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert person.post(url(battle, "vote/"), choice="a", turn=1).status_code == 410
    assert not Vote.objects.exists()


@pytest.mark.parametrize("turn", ["2", "0", "-1", "x", "", "1e3", "٣"])
def test_a_vote_names_the_turn_that_was_seen(turn: str) -> None:
    person = Person()
    battle = person.ready()
    assert person.post(url(battle, "vote/"), choice="a", turn=turn).status_code in (400, 409)
    assert not Vote.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_fifty_votes_at_once_are_one_vote() -> None:
    person = Person()
    battle = person.ready()

    def vote(n: int) -> int:
        try:
            return person.raw.post(
                url(battle, "vote/"),
                {"choice": "ab"[n % 2], "turn": 1, "csrfmiddlewaretoken": person.token},
            ).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(vote, range(50)))
    assert statuses == [303] + [409] * 49
    assert Vote.objects.filter(battle=battle).count() == 1
