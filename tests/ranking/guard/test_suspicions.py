"""What the watch found, before the staff: looked at, taken back, let go, forgotten in time."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from arena.clock import now
from arena.models import AuditEntry
from arena.votes import judge_of
from ranking import counts
from ranking.guard import suspicions, watch
from ranking.models import Suspicion
from tests.ranking import rows
from tests.ranking.crowds import Said, Town, flagged, visitors

pytestmark = pytest.mark.django_db


def test_staff_can_take_it_back_and_no_rule_asks_again(
    town: Town, queued: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    ada = User.objects.create_user("ada", is_staff=True)
    [person] = visitors(1)
    town.cast(town.votes(person, 40, target=5))
    before = rows.stored("live")
    watch.run()
    counts.absorb()
    assert rows.stored("live") != before
    with django_capture_on_commit_callbacks(execute=True):
        assert suspicions.clear(Suspicion.objects.get(), ada) == 40
    assert queued == ["ranking.tasks.refit"]
    assert suspicions.clear(Suspicion.objects.get(), ada) == 0
    counts.absorb()
    assert rows.stored("live") == before, "the counts are as if nothing had been flagged"
    town.cast(town.votes(person, 5, target=5))
    assert watch.run() == 0 and flagged() == set()
    entry = AuditEntry.objects.get(action="unflag")
    assert (entry.actor, entry.before["votes"]) == (ada, 40)


def test_whoever_was_let_go_is_not_caught_by_another_test(town: Town, queued: list[str]) -> None:
    [person] = visitors(1)
    town.cast(town.votes(person, 40, target=5))
    watch.run()
    suspicions.clear(Suspicion.objects.get(), None)
    named = Suspicion(detector="residual", kind="voter", code=Suspicion.objects.get().code, votes=0)
    more = town.cast(town.votes(person, 3))
    assert suspicions.raise_against(named, [vote.pk for vote in more]) == 0
    capped = Suspicion(detector="cap", kind="voter", code=named.code, votes=0)
    assert suspicions.raise_against(capped, [more[0].pk]) == 1, "a cap says nothing about honesty"
    [other] = visitors(1)
    busy = town.cast(town.votes(other, 3))
    code = judge_of(other.pk)
    suspicions.raise_against(Suspicion(detector="cap", kind="voter", code=code, votes=0), [busy[0].pk])
    suspicions.clear(Suspicion.objects.get(code=code), None)
    tested = Suspicion(detector="residual", kind="voter", code=code, votes=0)
    assert suspicions.raise_against(tested, [busy[1].pk]) == 2, "nor does its end: the other two votes"


def test_two_published_rules_say_what_they_think_and_decide_nothing(
    town: Town, queued: list[str], settings: Any
) -> None:
    rigger, flood = visitors(2)
    town.cast(town.votes(rigger, 60, target=5))
    settings.INFLUENCE_LEAST, settings.INFLUENCE_SHARE = 20, 0.0001
    town.cast([Said(0, 1 + n % 5, town.honest(0, 1 + n % 5), flood) for n in range(30)])
    watch.run()
    tested, capped = Suspicion.objects.get(detector="attackers"), Suspicion.objects.get(detector="cap")
    assert tested.fisher is False, "published as it is, it sees hardly anybody"
    assert tested.e_peak is not None and tested.e_peak > 2
    assert (capped.fisher, capped.e_peak) == (None, None), "a bound is no test of honesty"
    said = tested.e_peak
    town.cast(town.votes(rigger, 10, target=5))
    watch.run()
    tested.refresh_from_db()
    assert tested.e_peak is not None and tested.e_peak > said, "told anew with each vote, with the same draws"


def test_which_prefix_it_was_is_forgotten_in_time(town: Town, queued: list[str], settings: Any) -> None:
    town.cast([one for person in visitors(40) for one in town.votes(person, 1, target=5, group="k-farm")])
    watch.run()
    code = Suspicion.objects.get(kind="prefix").code
    past = now() - timedelta(days=settings.KEEP_GROUPS_DAYS + 1)
    Suspicion.objects.update(updated_at=past)
    town.cast(town.votes(visitors(1)[0], 1))
    watch.run()
    found = Suspicion.objects.get(kind="prefix")
    assert found.code == f"past {found.pk}" and code not in found.code
    assert suspicions.clear(found, None) == 40


def test_staff_sees_who_what_how_much_and_the_battles(town: Town, queued: list[str], client: Client) -> None:
    [rigger] = visitors(1)
    votes = town.cast(town.votes(rigger, 30, target=5))
    watch.run()
    client.force_login(User.objects.create_superuser("root"))
    found = Suspicion.objects.get()
    listed = client.get(reverse("admin:ranking_suspicion_changelist")).content.decode()
    for words in (found.code, "attackers", "promote", town.contestants[5].name, ">30<"):
        assert words in listed
    page = client.get(reverse("admin:ranking_suspicion_change", args=[found.pk])).content.decode()
    assert all(reverse("admin:arena_battle_change", args=[vote.battle_id]) in page for vote in votes)
    assert "Fisher" in page and "Peak of the e-process" in page
    back = {"action": "clear", "_selected_action": [str(found.pk)]}
    said = client.post(reverse("admin:ranking_suspicion_changelist"), back, follow=True).content.decode()
    assert "30 votes count again." in said and flagged() == set()


def test_what_somebody_has_confirmed_is_decided_and_can_still_be_taken_back(client: Client) -> None:
    for code in "ab":
        Suspicion.objects.create(detector="cap", kind="voter", code=code, votes=3)
    first, second = Suspicion.objects.order_by("code")
    client.force_login(User.objects.create_superuser("root"))
    page = reverse("admin:ranking_suspicion_changelist")
    shown = client.get(reverse("admin:index")).content.decode()
    assert "2 suspicions about votes are open." in shown and f'href="{page}?decided=open"' in shown
    assert "2 suspicions" in client.get("/desk/").content.decode()
    client.post(page, {"action": "confirm", "_selected_action": [str(first.pk)]})
    assert list(Suspicion.objects.open()) == [second] and Suspicion.objects.open_by_detector() == {"cap": 1}
    first.refresh_from_db()
    assert first.confirmed_at and str(first.confirmed_by) == "root" and not first.cleared_at
    assert not suspicions.confirm(first, None), "once"
    assert AuditEntry.objects.get(action="confirm").actor == first.confirmed_by
    listed = {way: client.get(f"{page}?decided={way}").content.decode() for way in ("open", "confirmed", "cleared")}
    assert [way for way, html in listed.items() if str(first.pk) in html] == ["confirmed"]
    assert [way for way, html in listed.items() if str(second.pk) in html] == ["open"]
    suspicions.clear(first, None)
    assert str(first.pk) in client.get(f"{page}?decided=cleared").content.decode()
    suspicions.clear(second, None)
    for address in (reverse("admin:index"), "/desk/"):
        assert "suspicion about votes" not in client.get(address).content.decode()


def test_whoever_may_not_see_suspicions_is_told_nothing(client: Client) -> None:
    Suspicion.objects.create(detector="cap", kind="voter", code="a", votes=3)
    for group, told in (("moderator", True), ("operator", True), ("analyst", False)):
        user = User.objects.create_user(group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client.force_login(user)
        assert ("1 suspicion about votes is open." in client.get(reverse("admin:index")).content.decode()) == told
