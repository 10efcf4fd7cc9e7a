"""Bans: of visitors and of address prefixes, under rotating keys, with an end, a reason and an undo; enforced on every verb."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import get_resolver

from arena import address_keys, addresses, bans, clock
from arena.errors import Refused
from arena.models import Appeal, AuditEntry, Ban, Battle, GateBlock, Report, Turn, Visitor, Vote
from tests import factories
from tests.arena.test_address_keys import later
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
HOME = "198.51.100.1/32"


def in_days(days: float):
    return clock.now() + timedelta(days=days)


def refused(visitor: Visitor | None, prefix: str = HOME) -> Refused | None:
    try:
        bans.refuse_banned(visitor, prefix)
    except Refused as refusal:
        return refusal
    return None


# --- the verbs ----------------------------------------------------------------------------------------------------------


def test_a_visitor_is_told_why_and_until_when(django_user_model) -> None:
    visitor, moderator = factories.visitor(), django_user_model.objects.create(username="mo")
    end = in_days(3)
    bans.ban_visitor(visitor, moderator, "  Scripted \n votes ", end)
    refusal = refused(visitor)
    assert (refusal.status, refusal.code) == (403, "banned")
    assert "Scripted votes" in refusal.message and str(end.year) in refusal.message and "UTC" in refusal.message
    assert refusal.detail == {"until": end, "reason": "Scripted votes"}
    assert refused(factories.visitor()) is None and refused(None) is None


def test_a_ban_without_an_end_says_no_date() -> None:
    visitor = factories.visitor()
    bans.ban_visitor(visitor, None, "Threats")
    assert refused(visitor).message == "You cannot take part here. Reason: Threats"


def test_fresh_cookies_behind_a_banned_prefix_are_refused_too() -> None:
    bans.ban_prefix(addresses.group_key(HOME), None, "Flood")
    assert refused(None) and refused(factories.visitor())
    assert refused(None, "198.51.100.2/32") is None
    assert Ban.objects.get().expires_at == pytest.approx(in_days(7), abs=timedelta(minutes=1))


def test_a_prefix_ban_is_found_after_its_key_was_replaced(monkeypatch) -> None:
    bans.ban_prefix(addresses.group_key(HOME), None, "Flood", in_days(80))
    for _ in range(2):
        later(monkeypatch, days=31)
        address_keys.rotate()
        assert refused(None)
        assert addresses.group_key(HOME) != Ban.objects.get().group
    later(monkeypatch, days=19)
    assert refused(None) is None


def test_a_prefix_is_refused_once_its_key_is_gone(monkeypatch) -> None:
    group = addresses.group_key(HOME)
    later(monkeypatch, days=30)
    address_keys.rotate()
    later(monkeypatch, days=2)
    address_keys.rotate()
    for gone in (group, "", "0" * 32, "deadbeef-" + "0" * 32):
        with pytest.raises(Refused) as refusal:
            bans.ban_prefix(gone, None, "Flood")
        assert (refusal.value.status, refusal.value.code) == (410, "key_gone")


def test_everybody_without_an_address_cannot_be_banned_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        bans.ban_prefix(addresses.group_key(addresses.UNKNOWN), None, "Flood")
    assert refusal.value.code == "everybody"


@pytest.mark.parametrize(("reason", "days", "code"), [("", 1, "reason"), (" ", 1, "reason"), ("x" * 201, 1, "reason")])
@pytest.mark.parametrize("whom", ["visitor", "prefix"])
def test_a_ban_needs_a_reason(whom: str, reason: str, days: float, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        ban(whom, reason, days)
    assert (refusal.value.status, refusal.value.code) == (400, code) and not Ban.objects.exists()


@pytest.mark.parametrize(
    ("whom", "days", "code"), [("visitor", -1, "past"), ("prefix", 0, "past"), ("prefix", 91, "too_long")]
)
def test_a_ban_ends_in_the_future_and_a_prefix_is_free_after_90_days(whom: str, days: float, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        ban(whom, "Flood", days)
    assert (refusal.value.status, refusal.value.code) == (400, code) and not Ban.objects.exists()


def ban(whom: str, reason: str, days: float) -> Ban:
    if whom == "visitor":
        return bans.ban_visitor(factories.visitor(), None, reason, in_days(days))
    return bans.ban_prefix(addresses.group_key(HOME), None, reason, in_days(days))


def test_bans_expire(monkeypatch) -> None:
    visitor = factories.visitor()
    bans.ban_visitor(visitor, None, "Flood", in_days(1))
    later(monkeypatch, hours=23)
    assert refused(visitor)
    later(monkeypatch, hours=2)
    assert refused(visitor) is None


def test_lifting_is_the_undo_and_a_new_ban_undoes_that(django_user_model) -> None:
    visitor, moderator = factories.visitor(), django_user_model.objects.create(username="mo")
    first = bans.ban_visitor(visitor, moderator, "Flood")
    assert bans.lift(first, moderator, "A mistake")
    assert refused(visitor) is None
    assert not bans.lift(first, moderator)
    bans.ban_visitor(visitor, moderator, "No mistake")
    assert "No mistake" in refused(visitor).message
    trail = AuditEntry.objects.filter(kind="arena.ban").order_by("created_at")
    assert [(one.action, one.actor_name, one.reason) for one in trail] == [
        ("ban", "mo", "Flood"),
        ("lift", "mo", "A mistake"),
        ("ban", "mo", "No mistake"),
    ]
    assert trail[0].after["visitor"] == str(visitor.pk) and trail[1].after["lifted_at"]


def test_a_new_ban_takes_the_place_of_the_old_one() -> None:
    visitor = factories.visitor()
    bans.ban_visitor(visitor, None, "For ever")
    shorter = bans.ban_visitor(visitor, None, "A day", in_days(1))
    assert list(Ban.objects.live()) == [shorter]
    assert "A day" in refused(visitor).message


def test_the_longest_of_two_bans_is_told() -> None:
    visitor = factories.visitor()
    bans.ban_prefix(addresses.group_key(HOME), None, "Short", in_days(2))
    bans.ban_visitor(visitor, None, "Long", in_days(20))
    assert "Long" in refused(visitor).message and "Short" in refused(None).message


def test_it_costs_nothing_while_nobody_is_banned_and_two_queries_otherwise(django_assert_num_queries) -> None:
    visitor = factories.visitor()
    with django_assert_num_queries(1):
        for _ in range(20):
            bans.refuse_banned(visitor, HOME)
    bans.ban_visitor(factories.visitor(), None, "Flood")
    bans.ban_prefix(addresses.group_key("203.0.113.9/32"), None, "Flood")
    bans.refuse_banned(visitor, HOME)
    with django_assert_num_queries(2):
        bans.refuse_banned(visitor, HOME)


def test_another_process_learns_of_a_ban_within_seconds(monkeypatch) -> None:
    visitor = factories.visitor()
    assert refused(visitor) is None
    Ban.objects.create(visitor=visitor, reason="Made elsewhere")
    assert refused(visitor) is None  # remembered
    monkeypatch.setattr(bans, "monotonic", lambda: bans._any_live[0] + bans.CACHE_S)
    assert refused(visitor)


# --- over HTTP --------------------------------------------------------------------------------------------------------------


def every_verb(person: Person) -> dict[str, tuple[str, dict[str, str]]]:
    """The POST addresses that a banned person must not use, each with a form that would otherwise do."""
    ready, failed, voted = (
        person.ready(),
        factories.finish(factories.started(person.visitor), a=factories.outcome(error="timeout")),
        person.voted(),
    )
    block = GateBlock.objects.create(visitor=person.visitor, policy="1", category="weapons", rule="r", prompt="p")
    key = str(uuid4())
    return {
        "start_battle": ("/battles/", {"prompt": "Hello", "key": key}),
        "send": (url(ready, "turns/"), {"prompt": "Go on", "key": key}),
        "retry": (url(failed, "retry/"), {"side": "a"}),
        "vote": (url(ready, "vote/"), {"choice": "a", "turn": "1"}),
        "rematch": (url(voted, "rematch/"), {"key": key}),
        "report": (url(voted, "report/"), {"side": "a", "turn": "1", "reason": "other", "text": "bad"}),
        "appeal": ("/appeals/", {"block": str(block.pk), "text": "please"}),
    }


OPEN_TO_BANNED = {"stop", "share", "unshare"}  # ending and taking back


def test_every_verb_refuses_a_banned_visitor_and_changes_nothing() -> None:
    person = Person()
    verbs = every_verb(person)
    bans.ban_visitor(person.visitor, None, "Scripted votes", in_days(2))
    before = rows()
    for name, (path, form) in verbs.items():
        for htmx in (False, True):
            response = person.post(path, htmx=htmx, **form)
            assert response.status_code == 403, name
            assert "Scripted votes" in response.content.decode() and 'data-code="banned"' in response.content.decode()
    assert rows() == before
    assert person.get("/me/").status_code == 200


def test_every_verb_works_again_once_the_ban_is_lifted() -> None:
    person = Person()
    verbs = every_verb(person)
    bans.lift(bans.ban_visitor(person.visitor, None, "Flood"), None)
    for name in ("vote", "rematch", "retry", "report", "appeal", "start_battle"):
        path, form = verbs[name]
        assert person.post(path, **form).status_code in (200, 303), name


def rows() -> list[str]:
    """All that the verbs could have changed."""
    return sorted(
        str(row) for model in (Battle, Turn, Vote, Report, Appeal, Visitor) for row in model.objects.values_list()
    )


def test_the_list_of_verbs_is_whole() -> None:
    """Whatever else takes a POST about a battle is named here: refused when banned, or open on purpose."""
    names = {
        pattern.name
        for pattern in get_resolver().url_patterns
        if getattr(pattern, "name", None) and str(pattern.pattern).startswith(("b/", "battles/", "appeals/"))
    }
    assert names - {"battle", "appealed"} == set(every_verb(Person())) | OPEN_TO_BANNED


# --- S11, S12: which address counts ---------------------------------------------------------------------------------------------


def newcomer(path_from: dict[str, str]) -> int:
    person = Person(agreed=False)
    factories.ring()
    data = {"prompt": "Hello", "key": str(uuid4()), "agree_terms": "1", "csrfmiddlewaretoken": person.token}
    return person.raw.post("/battles/", data, **path_from).status_code


def test_a_forged_forwarded_header_neither_evades_a_ban_nor_bans_somebody_else(settings) -> None:
    bans.ban_prefix(addresses.group_key("203.0.113.5/32"), None, "Flood")
    settings.TRUSTED_PROXIES = []
    assert newcomer({"REMOTE_ADDR": "203.0.113.5", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}) == 403
    assert newcomer({"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}) == 303
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert newcomer({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}) == 403
    assert newcomer({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1, 203.0.113.5"}) == 403
    assert newcomer({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.5, 192.0.2.1"}) == 303
    assert newcomer({"REMOTE_ADDR": "203.0.113.5", "HTTP_X_FORWARDED_FOR": "10.0.0.1"}) == 403


def test_an_ipv6_network_of_64_bits_is_one_address() -> None:
    bans.ban_prefix(addresses.group_key("2001:db8:1:2::/64"), None, "Flood")
    assert newcomer({"REMOTE_ADDR": "2001:db8:1:2:ffff::9"}) == 403
    assert newcomer({"REMOTE_ADDR": "2001:db8:1:3::9"}) == 303


def test_a_refused_newcomer_leaves_no_row() -> None:
    bans.ban_prefix(addresses.group_key("127.0.0.1/32"), None, "Flood")
    assert newcomer({}) == 403
    assert not Visitor.objects.exists()
