"""The pages of bans: opened from a battle, allowed by permission, undone from the list."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from arena import addresses, bans, clock
from arena.models import AddressKey, AuditEntry, Ban, Battle, Turn
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
ADD, LIST = "/admin/arena/ban/add/", "/admin/arena/ban/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("mo", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def moderator() -> Client:
    return staff("view_ban", "add_ban", "change_ban")


@pytest.fixture
def battle() -> Battle:
    made = factories.ready()
    Turn.objects.filter(battle=made).update(group=addresses.group_key("198.51.100.1/32"))
    return made


def test_a_battle_offers_its_visitor_and_its_prefix(moderator: Client, battle: Battle) -> None:
    page = moderator.get(f"{ADD}?battle={battle.pk}").content.decode()
    assert str(battle.visitor) in page and "address prefix" in page
    sent = {"whom": "visitor", "days": "7", "reason": "Scripted votes"}
    assert moderator.post(f"{ADD}?battle={battle.pk}", sent).status_code == 302
    ban = Ban.objects.get()
    assert (ban.visitor, ban.reason, ban.created_by.username) == (battle.visitor, "Scripted votes", "mo")
    assert ban.expires_at == pytest.approx(clock.now() + timedelta(days=7), abs=timedelta(minutes=1))
    assert AuditEntry.objects.get(action="ban").actor_name == "mo"


def test_a_prefix_is_banned_from_the_same_form(moderator: Client, battle: Battle) -> None:
    assert (
        moderator.post(f"{ADD}?battle={battle.pk}", {"whom": "prefix", "days": "90", "reason": "Flood"}).status_code
        == 302
    )
    assert Ban.objects.get().group == Turn.objects.get(battle=battle).group


def test_a_visitor_can_be_banned_until_lifted_a_prefix_for_a_week(moderator: Client, battle: Battle) -> None:
    for whom in ("visitor", "prefix"):
        moderator.post(f"{ADD}?battle={battle.pk}", {"whom": whom, "days": "", "reason": "Flood"})
    assert Ban.objects.get(key=None).expires_at is None
    assert Ban.objects.exclude(key=None).get().expires_at < clock.now() + timedelta(days=8)


def test_without_its_key_a_prefix_is_not_offered(moderator: Client, battle: Battle) -> None:
    AddressKey.objects.all().delete()
    assert "address prefix" not in moderator.get(f"{ADD}?battle={battle.pk}").content.decode()
    assert (
        moderator.post(f"{ADD}?battle={battle.pk}", {"whom": "prefix", "days": "1", "reason": "x"}).status_code == 200
    )
    assert not Ban.objects.exists()


def test_bad_input_is_said_in_the_form(moderator: Client, battle: Battle) -> None:
    for wrong in ({"reason": ""}, {"days": "-1"}, {"days": "9999"}, {"whom": "everybody"}, {"reason": "x" * 201}):
        sent = {"whom": "visitor", "days": "7", "reason": "Flood"} | wrong
        assert moderator.post(f"{ADD}?battle={battle.pk}", sent).status_code == 200, wrong
    assert not Ban.objects.exists()


@pytest.mark.parametrize("query", ["", "?visitor=x", "?battle=00000000-0000-4000-8000-000000000000"])
def test_the_form_needs_somebody(moderator: Client, query: str) -> None:
    assert moderator.get(ADD + query).status_code == 302


def test_the_list_lifts(moderator: Client) -> None:
    ban = bans.ban_visitor(factories.visitor(), None, "Flood")
    page = moderator.post(LIST, {"action": "lift", "_selected_action": [str(ban.pk)]}, follow=True)
    assert "1 ban lifted." in page.content.decode()
    assert not Ban.objects.live().exists()
    assert AuditEntry.objects.get(action="lift").actor_name == "mo"


def test_looking_is_not_banning(battle: Battle) -> None:
    client = staff("view_ban")
    ban = bans.ban_visitor(factories.visitor(), None, "Flood")
    assert client.get(LIST).status_code == 200
    assert client.get(f"{ADD}?battle={battle.pk}").status_code == 403
    client.post(LIST, {"action": "lift", "_selected_action": [str(ban.pk)]})
    assert list(Ban.objects.live()) == [ban]
    for verb, data in (("change", {"reason": "other"}), ("delete", {"post": "yes"})):
        assert client.post(f"{LIST}{ban.pk}/{verb}/", data).status_code == 403
