"""Crowd against experts: from stored labels and votes to the report and its page."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from arena import voiding
from arena.models import Contestant, ExpertLabel, RatingItem, RatingRound, VoteEvent
from ranking import agreement, counts
from ranking.fits import fitting
from ranking.models import AgreementReport
from ranking.votelog import publication
from tests.ranking import rows

pytestmark = pytest.mark.django_db


def labelled(choice: str, **labels: str) -> VoteEvent:
    """A voted battle that experts have judged: labelled("a", ada="a", bob="b")."""
    pair = Contestant.objects.order_by("created_at")[:2] if Contestant.objects.count() >= 2 else rows.contestants(2)
    event = rows.cast(*pair, choice)
    round = RatingRound.objects.get_or_create(name="one", defaults={"seed": 1})[0]
    item = RatingItem.objects.create(round=round, battle=event.vote.battle, position=round.items.count())
    for name, said in labels.items():
        what = {"skip": said} if said == "language" else {"choice": said}
        ExpertLabel.objects.create(item=item, rater_name=name, swapped=False, **what)
    return event


def refreshed() -> dict:
    counts.absorb()
    assert agreement.refresh()
    return AgreementReport.objects.get().figures


def test_shares_by_hand() -> None:
    labelled("a", ada="a", bob="a")
    labelled("a", ada="a", bob="b")
    labelled("b", ada="a", bob="tie")
    labelled("both_bad", ada="tie", bob="both_bad")
    figures = refreshed()
    assert (figures["battles"], figures["labels"]) == (4, 8)
    assert figures["crowd"]["all"]["share"] == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)
    assert figures["experts"]["all"]["share"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    assert figures["crowd"]["decided"]["share"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert figures["experts"]["decided"]["share"] == pytest.approx(1 / 2)
    by_name = {one["name"]: one for one in figures["raters"]}
    assert by_name["ada"]["crowd"]["share"] == pytest.approx(2 / 3)
    assert by_name["bob"]["others"]["share"] == pytest.approx(1 / 2)


def test_skips_unranked_and_voided_votes_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    labelled("a", ada="a", bob="language")
    unranked = labelled("b", ada="a")
    VoteEvent.objects.filter(pk=unranked.pk).update(ranked=False)
    assert refreshed()["crowd"]["all"]["battles"] == 1
    operator = User.objects.create_user("op")
    voiding.void_battle(VoteEvent.objects.get(pk=unranked.pk).vote.battle, operator, "r")
    again = labelled("b", ada="a")
    assert refreshed()["crowd"]["all"]["battles"] == 2
    voiding.void_battle(again.vote.battle, operator, "rigged")
    counts.absorb()
    assert agreement.refresh() is None, "an exclusion that is not public yet changes nothing that can be seen"


def test_an_exclusion_counts_once_it_is_public(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)
    settings.LOG_DELAY_S, settings.LOG_BATCH_S = 0, 0  # type: ignore[attr-defined]
    kept, gone = labelled("a", ada="a"), labelled("b", ada="a")
    assert refreshed()["crowd"]["all"]["battles"] == 2
    voiding.void_battle(gone.vote.battle, User.objects.create_user("op"), "rigged")
    publication.publish(at_once=True)
    assert refreshed()["crowd"]["all"]["battles"] == 1
    assert kept.pk != gone.pk


def test_an_expert_who_judged_a_battle_in_two_rounds_counts_once() -> None:
    event = labelled("a", ada="a")
    other = RatingRound.objects.create(name="two", seed=2)
    item = RatingItem.objects.create(round=other, battle=event.vote.battle, position=0)
    ExpertLabel.objects.create(item=item, rater_name="ada", swapped=False, choice="b")
    assert [one.code for one in agreement.judgements() if one.rater == "ada"] == [0]


def test_the_fit_keeps_one_report_and_only_computes_what_is_new() -> None:
    labelled("a", ada="a")
    fitting.refit()
    first = AgreementReport.objects.get()
    fitting.refit()
    assert AgreementReport.objects.get() == first
    labelled("b", ada="a")
    fitting.refit()
    assert AgreementReport.objects.get() != first
    ExpertLabel.objects.all().delete()
    fitting.refit()
    assert agreement.current() is None


def test_the_page_shows_shares_and_names_of_experts_to_staff_alone() -> None:
    empty = Client().get("/leaderboard/quality").content.decode()
    assert "No expert has judged a battle yet" in empty
    for choice in "aab":
        labelled(choice, ada="a", bob="a")
    refreshed()
    page = Client().get("/leaderboard/quality").content.decode()
    assert "67 %" in page
    assert "ada" not in page
    analyst = User.objects.create_user("analyst", is_staff=True)
    analyst.groups.add(Group.objects.get(name="analyst"))
    staff = Client()
    staff.force_login(analyst)
    assert "ada" in staff.get("/leaderboard/quality").content.decode()
