"""Expert raters: a random sample, blind and on shuffled sides, through the gate at every look, one label per person."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from arena import clock, voiding
from arena.errors import Refused
from arena.models import Battle, ExpertLabel, RatingItem, RatingRound
from datasets.rating import drawing, labelling, rounds, showing
from tests.datasets import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.voiding.app.send_task", lambda *_, **__: None)


def rater(name: str = "Ada") -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name="rater"))
    return user


def begun(**fields: object) -> RatingRound:
    made = RatingRound(name=f"Round {RatingRound.objects.count()}", **fields)
    rounds.begin(made, User.objects.get_or_create(username="op")[0])
    return made


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def see_unswapped(monkeypatch: pytest.MonkeyPatch, swapped: bool = False) -> None:
    for module in ("labelling", "showing"):
        monkeypatch.setattr(f"datasets.rating.{module}.swapped", lambda *_: swapped)


# --- the sample -----------------------------------------------------------------------------------------------------------


def test_each_battle_of_the_sample_comes_once_to_each_rater_and_the_round_ends_at_its_size() -> None:
    battles = {rows.releasable().pk for _ in range(5)}
    round, ada, bob = begun(wanted=3), rater(), rater("Bob")
    judged = {}
    for who in (ada, bob):
        seen = []
        while shown := drawing.next_for(round, who):
            seen.append(shown.item.battle_id)
            labelling.label(round, shown.item.pk, who, "tie")
        judged[who.username] = seen
    assert len(judged["Ada"]) == 3
    assert set(judged["Ada"]) == set(judged["Bob"])
    assert set(judged["Ada"]) < battles
    assert rounds.progress(round, ada) == rounds.Progress(round, mine=3, done=3)


def test_the_order_is_the_seeds_and_not_that_of_time() -> None:
    made = [rows.releasable().pk for _ in range(6)]
    orders = set()
    for seed in range(4):
        round = begun(wanted=6)
        RatingRound.objects.filter(pk=round.pk).update(seed=seed)
        drawing.next_for(round, rater(f"rater {seed}"))
        orders.add(tuple(RatingItem.objects.filter(round=round).values_list("battle_id", flat=True)))
    assert {frozenset(order) for order in orders} == {frozenset(made)}
    assert len(orders) > 1


def test_a_battle_has_no_more_labels_than_wanted_and_a_skip_leaves_room() -> None:
    rows.releasable()
    round, people = begun(labels_each=1), [rater(name) for name in ("Ada", "Bob", "Cy")]
    item = drawing.next_for(round, people[0]).item
    labelling.label(round, item.pk, people[0], "skip:language")
    assert drawing.next_for(round, people[1]).item == item
    labelling.label(round, item.pk, people[1], "a")
    assert drawing.next_for(round, people[2]) is None


def test_it_draws_on_past_battles_that_may_not_be_shown(settings: object) -> None:
    settings.RATING_LOOKS = 2  # type: ignore[attr-defined]
    for _ in range(4):
        rows.fought()  # nobody has moderated these
    wanted = rows.releasable().pk
    round, ada = begun(), rater()
    looks = [drawing.next_for(round, ada) for _ in range(4)]
    found = {shown.item.battle_id for shown in looks if shown}
    assert found == {wanted}, "within four requests, as each looks at two battles"


def test_what_passes_moderation_after_it_was_passed_over_is_still_drawn(settings: object) -> None:
    settings.RATING_LOOKS = 2  # type: ignore[attr-defined]
    waiting = [rows.fought() for _ in range(3)]
    round, ada = begun(), rater()
    assert [drawing.next_for(round, ada) for _ in range(3)] == [None] * 3
    page = client_of(ada).get(reverse("rate_round", args=[round.pk])).content.decode()
    assert "Nothing can be shown yet" in page and "You have judged" not in page
    for battle in waiting:
        for message in rows.messages(battle):
            rows.look(message)
            rows.enrich(message)
    seen = set()
    while shown := drawing.next_for(round, ada):
        seen.add(shown.item.battle_id)
        labelling.label(round, shown.item.pk, ada, "tie")
    assert seen == {battle.pk for battle in waiting}
    assert RatingItem.objects.filter(round=round).count() == 3, "nothing is drawn twice"


def test_only_votes_that_count_are_sampled() -> None:
    battle = rows.releasable()
    battle.vote.events.update(ranked=False)
    assert drawing.next_for(begun(), rater()) is None


# --- what may be shown now ------------------------------------------------------------------------------------------------


def test_what_the_gate_keeps_in_now_is_neither_shown_nor_labelled() -> None:
    battle = rows.releasable(a="A secret remark")
    round, ada = begun(), rater()
    item = drawing.next_for(round, ada).item
    voiding.void_battle(battle, User.objects.get(username="op"), "rigged")
    page = client_of(ada).get(reverse("rate_round", args=[round.pk]))
    assert "A secret remark" not in page.content.decode()
    assert "Nothing can be shown yet" in page.content.decode()
    with pytest.raises(Refused) as refused:
        labelling.label(round, item.pk, ada, "a")
    assert (refused.value.status, ExpertLabel.objects.count()) == (409, 0)


def test_a_page_tells_neither_models_nor_vote_nor_other_labels() -> None:
    battle = rows.releasable(a="First words", b="Second words")
    round, ada, bob = begun(), rater(), rater("Bob")
    labelling.label(round, drawing.next_for(round, bob).item.pk, bob, "both_bad")
    page = client_of(ada).get(reverse("rate_round", args=[round.pk])).content.decode()
    assert "First words" in page
    assert "Second words" in page
    for side in ("a", "b"):
        revision = battle.revision(side)
        for secret in (revision.contestant.name, revision.contestant.organisation, str(revision.pk), revision.model):
            assert secret not in page
    for secret in (str(battle.pk), str(battle.vote.pk), str(battle.conversation_a_id), "Bob"):
        assert secret not in page


def test_sides_are_shuffled_per_rater_and_labels_are_stored_in_the_battles_own_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.releasable(a="First words", b="Second words")
    round = begun(labels_each=9)
    for turned, said, stored in ((False, "a", "a"), (True, "a", "b"), (True, "b", "a"), (True, "tie", "tie")):
        see_unswapped(monkeypatch, turned)
        who = rater(f"rater {turned} {said}")
        shown = drawing.next_for(round, who)
        left = showing.exchanges(shown, who)[0].left
        assert ("Second words" if turned else "First words") in left
        label = labelling.label(round, shown.item.pk, who, said)
        assert (label.choice, label.swapped) == (stored, turned)


def test_the_coin_of_the_sides_falls_both_ways_and_the_same_on_every_look() -> None:
    item = RatingItem(position=0)
    coins = [labelling.swapped(item, User(username=f"rater {n}")) for n in range(64)]
    assert 16 < sum(coins) < 48
    assert coins == [labelling.swapped(item, User(username=f"rater {n}")) for n in range(64)]


# --- labels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["", "c", "skip", "skip:", "skip:because", "A"])
def test_anything_but_an_answer_is_refused(choice: str) -> None:
    rows.releasable()
    round, ada = begun(), rater()
    item = drawing.next_for(round, ada).item
    with pytest.raises(Refused) as refused:
        labelling.label(round, item.pk, ada, choice)
    assert refused.value.status == 400


def test_a_second_label_a_foreign_battle_and_a_closed_round_are_refused() -> None:
    rows.releasable()
    round, other, ada = begun(), begun(), rater()
    item = drawing.next_for(round, ada).item
    labelling.label(round, item.pk, ada, "a")
    refusals = {}
    for name, where, which in (("second", round, item.pk), ("foreign", other, item.pk)):
        with pytest.raises(Refused) as refused:
            labelling.label(where, which, ada, "b")
        refusals[name] = refused.value.status
    assert rounds.close(round, ada)
    assert not rounds.close(round, ada)
    round.refresh_from_db()
    with pytest.raises(Refused) as closed:
        labelling.label(round, item.pk, ada, "b")
    assert (refusals, closed.value.status) == ({"second": 409, "foreign": 404}, 410)
    assert ExpertLabel.objects.get().choice in ("a", "b")


def test_the_last_label_can_be_taken_back_for_a_while() -> None:
    rows.releasable()
    round, ada = begun(), rater()
    item = drawing.next_for(round, ada).item
    labelling.label(round, item.pk, ada, "a")
    assert labelling.take_back(round, ada)
    assert not labelling.take_back(round, ada)
    labelling.label(round, item.pk, ada, "b")
    ExpertLabel.objects.update(created_at=clock.now() - timedelta(hours=1))
    assert not labelling.take_back(round, ada)
    assert ExpertLabel.objects.count() == 1


# --- the pages ------------------------------------------------------------------------------------------------------------


def test_a_round_by_its_forms_alone() -> None:
    for _ in range(2):
        rows.releasable()
    round, ada = begun(wanted=2, guide="Correctness first."), rater()
    client = client_of(ada)
    assert round.name in client.get("/rate/").content.decode()
    address = reverse("rate_round", args=[round.pk])
    for left in (1, 0):
        assert "Correctness first." in client.get(address).content.decode()
        item = drawing.next_for(round, ada).item
        answer = client.post(reverse("rate_label", args=[round.pk, item.pk]), {"choice": "a"}, follow=True)
        assert answer.redirect_chain == [(address, 303)]
        assert ("Which answer is better?" in answer.content.decode()) == bool(left)
    refused = client.post(reverse("rate_label", args=[round.pk, item.pk]), {"choice": "a"})
    assert refused.status_code == 409
    assert "judged this battle already" in refused.content.decode()
    client.post(reverse("rate_take_back", args=[round.pk]))
    assert ExpertLabel.objects.count() == 1
    assert client.get(reverse("rate_round", args=[Battle.objects.first().pk])).status_code == 404


def test_whoever_is_no_rater_gets_nowhere() -> None:
    round = begun()
    assert Client().get("/rate/").status_code == 302
    for group in ("moderator", "operator", "analyst"):
        user = User.objects.create_user(group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        assert client_of(user).get(reverse("rate_round", args=[round.pk])).status_code == 403


def test_an_operator_begins_and_closes_a_round_in_the_admin_and_cannot_change_what_was_asked() -> None:
    client = client_of(User.objects.create_superuser("root"))
    new = {"name": "Physics", "guide": "g", "wanted": "7", "labels_each": "2"}
    client.post(reverse("admin:arena_ratinground_add"), new)
    made = RatingRound.objects.get()
    assert (made.created_by.username, made.wanted) == ("root", 7)
    client.post(reverse("admin:arena_ratinground_change", args=[made.pk]), {"guide": "h", "wanted": "9"})
    client.post(reverse("admin:arena_ratinground_changelist"), {"action": "close", "_selected_action": [str(made.pk)]})
    made.refresh_from_db()
    assert (made.guide, made.wanted, made.closed_at is not None) == ("h", 7, True)


def test_other_rounds_have_other_seeds() -> None:
    assert len({begun().seed for _ in range(3)}) == 3
