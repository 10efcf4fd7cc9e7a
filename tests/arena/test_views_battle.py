"""The battle in the browser: every verb as a plain form (303) and through htmx (a part of the page), every refusal in words."""

from uuid import uuid4

import pytest
from django.urls import reverse

from arena import battles
from arena.models import Appeal, Battle, Consent, GateBlock, Report, SiteConfig, Turn, Visitor
from arena.turns import Outcome
from tests import factories
from tests.arena.views_help import Person, url
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def body(response) -> str:
    return response.content.decode()


# --- the start ------------------------------------------------------------------------------------------------------
def test_the_start_page_asks_for_consent_once() -> None:
    factories.ring()
    person = Person(agreed=False)
    assert 'name="agree_terms"' in body(person.get("/"))
    assert person.start(agree_terms="1", publish="1").status_code == 303
    assert Consent.objects.get().publish is True
    assert 'name="agree_terms"' not in body(person.get("/"))


def test_no_battle_and_no_trace_without_consent() -> None:
    factories.ring()
    response = Person(agreed=False).start()
    assert response.status_code == 403
    assert "accept the terms" in body(response)
    assert not Battle.objects.exists() and not Visitor.objects.exists()


def test_publishing_is_off_unless_chosen() -> None:
    factories.ring()
    Person(agreed=False).start(agree_terms="1")
    assert Consent.objects.get().publish is False


def test_a_form_goes_to_its_battle() -> None:
    factories.ring()
    response = Person().start()
    battle = Battle.objects.get()
    assert response.status_code == 303 and response["Location"] == url(battle)


def test_htmx_is_sent_to_the_battle() -> None:
    factories.ring()
    response = Person().start(htmx=True)
    assert response.status_code == 204 and response["HX-Redirect"] == url(Battle.objects.get())


def test_the_same_key_is_the_same_battle() -> None:
    factories.ring()
    person, key = Person(), str(uuid4())
    assert person.start(key=key)["Location"] == person.start(key=key)["Location"]
    assert Battle.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x", "1234"])
def test_a_broken_key_is_refused(key: str) -> None:
    factories.ring()
    assert Person().start(key=key).status_code == 400


@pytest.mark.parametrize(("prompt", "status"), [("", 400), ("  \n", 400), ("x" * 30_001, 413)])
def test_unusable_prompts_keep_their_text_and_say_why(prompt: str, status: int) -> None:
    factories.ring()
    person = Person()
    page = person.start(prompt=prompt)
    assert page.status_code == status and 'role="alert"' in body(page)
    if prompt.strip():
        assert prompt in body(page)
    part = person.start(prompt=prompt, htmx=True)
    assert part.status_code == status and part["HX-Retarget"] == "#notice" and "<html" not in body(part)


def test_examples_fill_the_prompt_without_scripts() -> None:
    page = body(Person().get("/?example=code"))
    assert "SELECT o.id" in page.split("</textarea>")[0]
    assert "<textarea" in body(Person().get("/?example=nonsense"))


def test_too_fast_says_when_again(settings) -> None:
    settings.LIMIT_VISITOR_BURST, settings.LIMIT_VISITOR_PER_MINUTE = 1, 6
    factories.ring()
    person = Person()
    person.start()
    response = person.start(htmx=True)
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 10
    assert "data-seconds" in body(response)


def test_a_paused_site_says_so() -> None:
    factories.ring()
    SiteConfig.objects.update(battles_paused=True, pause_message="Back at noon.")
    response = Person().start()
    assert response.status_code == 503 and "Back at noon." in body(response)


def test_a_blocked_prompt_can_be_appealed_by_its_author_only(monkeypatch) -> None:
    from arena.moderation import gate

    refused = gate.GateVerdict(allowed=False, category="test", rule="r1", policy="v1", help_lines=("Call somebody.",))
    monkeypatch.setattr(gate, "check_prompt", lambda text: refused)
    factories.ring()
    person = Person()
    response = person.start(prompt="something bad", htmx=True)
    block = GateBlock.objects.get()
    assert response.status_code == 422 and "Call somebody." in body(response) and str(block.pk) in body(response)
    assert not Turn.objects.exists()
    assert Person().post(reverse("appeal"), block=block.pk, text="mine").status_code == 404
    assert Person(agreed=False).post(reverse("appeal"), block=block.pk).status_code == 404
    for htmx in (True, False):
        assert "noted" in body(person.post(reverse("appeal"), htmx=htmx, block=block.pk, text="a mistake"))
    assert Appeal.objects.get().text == "a mistake"


# --- the battle -----------------------------------------------------------------------------------------------------
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
