"""The battle in the browser: every verb as a plain form (303) and through htmx (a part of the page), every refusal in words."""

from uuid import uuid4

import pytest
from django.urls import reverse

from arena import battles
from arena.models import Battle, Report
from arena.turns import Outcome
from tests import factories
from tests.arena.views_help import Person, url
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def body(response) -> str:
    return response.content.decode()


def test_an_open_turn_streams_and_offers_no_vote() -> None:
    person = Person()
    turn = factories.started(person.visitor)
    page = body(person.get(url(turn.battle)))
    assert f'data-stream="{url(turn.battle)}turns/1/stream"' in page
    assert 'http-equiv="refresh"' in page  # without scripts the page asks again
    assert 'name="choice"' not in page


def test_a_ready_battle_shows_both_answers_and_four_votes_in_order() -> None:
    person = Person()
    page = body(person.get(url(person.ready(a=outcome("Alpha text"), b=outcome("Beta text")))))
    assert page.index("<p>Alpha text</p>") < page.index("<p>Beta text</p>")
    order = [page.index(f'name="choice" value="{choice}"') for choice in ("a", "tie", "both_bad", "b")]
    assert order == sorted(order)
    assert 'data-stream=""' in page


@pytest.mark.parametrize("choice", ["a", "tie", "both_bad", "b"])
def test_the_vote_reveals_both_names(choice: str) -> None:
    person = Person()
    battle = person.ready()
    response = person.post(url(battle, "vote/"), htmx=True, choice=choice, turn=1)
    assert response.status_code == 200 and "<html" not in body(response)
    for revision in (battle.revision_a, battle.revision_b):
        assert revision.contestant.name in body(response)
        assert f"/models/{revision.contestant.slug}/" in body(response)
    assert "counts for the leaderboard" in body(response)


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (outcome(finish_reason="stopped"), "an answer was stopped"),
        (outcome(finish_reason="early"), "an answer ended early"),
    ],
)
def test_a_vote_that_does_not_count_says_why(a, words: str) -> None:
    person = Person()
    battle = person.ready(a=a)
    assert words in body(person.post(url(battle, "vote/"), htmx=True, choice="b", turn=1))


def test_an_answer_that_names_its_model_is_not_counted_and_the_voter_is_told() -> None:
    factories.contestant("Zebulon Prime")
    factories.contestant("Yttrium Ultra")
    person = Person()
    battle = person.ready(a=outcome("I am Zebulon Prime."), b=outcome("I am Zebulon Prime."))
    assert "an answer showed who wrote it" in body(person.post(url(battle, "vote/"), htmx=True, choice="a", turn=1))


def test_a_codename_stays_a_codename_after_the_vote() -> None:
    from datetime import timedelta

    from arena import clock

    until = clock.now().date() + timedelta(days=9)
    hidden = {"visibility": "anonymous", "codename": "Olive", "anonymous_until": until}
    factories.contestant("Secret Sauce", **hidden)
    factories.contestant("Known")
    person = Person()
    page = body(person.get(url(person.voted())))
    assert "Olive" in page and "Secret" not in page and "secret-sauce" not in page


def test_several_turns_before_the_vote() -> None:
    person = Person()
    battle = person.ready()
    response = person.post(url(battle, "turns/"), htmx=True, prompt="And then?", key=uuid4())
    assert response.status_code == 200 and "turns/2/stream" in body(response) and "And then?" in body(response)
    battle = factories.finish(battle.turns.get(number=2))
    assert person.post(url(battle, "vote/"), choice="a", turn=1).status_code == 409
    assert person.post(url(battle, "vote/"), choice="a", turn=2).status_code == 303


def test_talking_on_after_the_reveal_is_not_ranked() -> None:
    person = Person()
    battle = person.voted()
    page = body(person.post(url(battle, "turns/"), htmx=True, prompt="Thanks", key=uuid4()))
    assert "turns/2/stream" in page and battle.turns.get(number=2).post_reveal
    assert "no longer counted" in body(person.get(url(factories.finish(battle.turns.get(number=2)))))


@pytest.mark.parametrize(("side", "stopped"), [("", (True, True)), ("a", (True, False)), ("b", (False, True))])
def test_stop_one_side_or_both(side: str, stopped: tuple[bool, bool]) -> None:
    person = Person()
    turn = factories.started(person.visitor)
    assert person.post(url(turn.battle, "stop/"), htmx=True, side=side).status_code == 204
    turn.refresh_from_db()
    assert (turn.stop_a, turn.stop_b) == stopped
    assert person.post(url(turn.battle, "stop/"), side="c").status_code == 400


def test_a_failed_side_is_offered_a_retry() -> None:
    person = Person()
    battle = person.ready(b=outcome(error="server_error"))
    page = body(person.get(url(battle)))
    assert "One model did not answer" in page and "Retry B" in page and "Retry A" not in page
    assert "server_error" not in page and 'name="choice"' not in page
    assert "turns/1/stream" in body(person.post(url(battle, "retry/"), htmx=True, side="b"))


@pytest.mark.parametrize(
    "broken", [outcome(error="timeout"), outcome("Half of B.", finish_reason="early")], ids=["failed", "early"]
)
def test_while_one_side_is_retried_the_other_stays_readable(broken: Outcome) -> None:
    person = Person()
    battle = person.ready(a=outcome("All of A."), b=broken)
    person.post(url(battle, "retry/"), side="b")
    page = body(person.get(url(battle)))
    assert "All of A." in page and "Half of B." not in page
    assert "Stop model B" in page and "Stop model A" not in page
    assert 'name="choice"' not in page and "Retry" not in page


def test_both_sides_failed() -> None:
    person = Person()
    page = body(person.get(url(person.ready(a=outcome(error="timeout"), b=outcome(error="timeout")))))
    assert "Neither model answered" in page and "Ask two other models" in page


def test_a_side_that_broke_off_can_be_voted_on_or_retried() -> None:
    person = Person()
    page = body(person.get(url(person.ready(a=outcome("Half", finish_reason="early")))))
    assert "broke off" in page and "Retry A" in page and 'name="choice"' in page


def test_the_same_question_with_a_new_pair() -> None:
    person = Person()
    battle = person.ready()
    response = person.post(url(battle, "rematch/"), key=uuid4())
    again = Battle.objects.exclude(pk=battle.pk).get()
    assert response["Location"] == url(again)
    assert again.turns.get().prompt.text == battle.turns.get().prompt.text


def test_a_replaced_battle_leads_to_its_successor() -> None:
    person = Person()
    factories.ring(4)
    turn = factories.started(person.visitor)
    assert battles.replace(turn.battle_id, [turn.battle.revision_a.contestant_id])
    successor = Battle.objects.exclude(pk=turn.battle_id).get()
    assert person.get(url(turn.battle))["Location"] == url(successor)
    assert person.get(url(turn.battle), htmx=True)["HX-Redirect"] == url(successor)


def test_an_expired_battle_names_nobody() -> None:
    person = Person()
    battle = person.ready()
    Battle.objects.update(state="void", void_reason="abandoned")
    page = body(person.get(url(battle)))
    assert "expired" in page and battle.revision_a.contestant.name not in page and 'name="choice"' not in page


def test_reporting_an_answer() -> None:
    person = Person()
    battle = person.ready()
    report = {"side": "b", "turn": 1, "reason": "broken", "text": "empty"}
    assert "Reported" in body(person.post(url(battle, "report/"), htmx=True, **report))
    assert Report.objects.get().reply.side == "b"
    assert "Reported" in body(person.get(url(battle)))
    assert person.post(url(battle, "report/"), **report | {"reason": "dislike"}).status_code == 400
    assert person.post(url(battle, "report/"), **report | {"turn": 9}).status_code == 404
    assert person.post(url(battle, "report/"), **report).status_code == 303


# --- sharing and history --------------------------------------------------------------------------------------------
def test_sharing_shows_names_and_vote_but_no_text() -> None:
    person = Person()
    battle = person.ready(a=outcome("Alpha text"), b=outcome("Beta text"))
    assert person.post(url(battle, "share/")).status_code == 409
    person.post(url(battle, "vote/"), choice="b", turn=1)
    person.post(url(battle, "share/"))
    battle.refresh_from_db()
    assert battle.share_token and len(battle.share_token) >= 43
    page = Person(agreed=False).get(reverse("shared", args=[battle.share_token]))
    assert battle.revision_a.contestant.name in body(page) and "B is better" in body(page)
    for text in ("Alpha text", "Beta text", "sky blue", str(battle.pk)):
        assert text not in body(page)
    assert "noindex" in page["X-Robots-Tag"] and 'name="robots" content="noindex' in body(page)
    assert "no-store" in page["Cache-Control"]  # a link that is taken back is gone from caches too
    person.post(url(battle, "unshare/"))
    assert Person(agreed=False).get(reverse("shared", args=[battle.share_token])).status_code == 404


def test_my_battles_are_mine_and_unnamed_until_the_vote() -> None:
    person, other = Person(), Person()
    other.ready()
    waiting, voted = person.ready(), person.voted()
    page = body(person.get("/me/"))
    assert page.count('<a href="/b/') == 2
    assert "waiting for your vote" in page and "you chose A" in page
    assert voted.revision_a.contestant.name in page
    only_waiting = Person()
    battle = only_waiting.ready()
    page = body(only_waiting.get("/me/"))
    assert battle.revision_a.contestant.name not in page and battle.revision_b.contestant.name not in page
    assert str(waiting.pk) not in page


def test_my_battles_come_in_pages(settings) -> None:
    settings.HISTORY_PAGE = 2
    person = Person()
    for _ in range(3):
        person.ready()
    assert "Page 1 of 2" in body(person.get("/me/"))
    assert body(person.get("/me/?page=2")).count('<a href="/b/') == 1
    assert person.get("/me/?page=nonsense").status_code == 200


def test_without_a_cookie_there_is_nothing() -> None:
    assert "Nothing here yet" in body(Person(agreed=False).get("/me/"))


def test_one_page_asks_the_database_a_bounded_number_of_times(django_assert_max_num_queries) -> None:
    person = Person()
    battle = person.ready()
    for number in (2, 3, 4):
        person.post(url(battle, "turns/"), prompt="More", key=uuid4())
        battle = factories.finish(battle.turns.get(number=number))
    with django_assert_max_num_queries(9):
        person.get(url(battle))
    with django_assert_max_num_queries(9):
        person.get("/me/")
