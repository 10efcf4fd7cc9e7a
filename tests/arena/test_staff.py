"""The three groups: made by a migration run, put right at the start, and no wider than their table."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from arena import installation, staff
from arena.models import AuditEntry

pytestmark = pytest.mark.django_db


def rights(name: str) -> set[tuple[str, str]]:
    found = Permission.objects.filter(group__name=name)
    return set(found.values_list("content_type__app_label", "codename"))


@pytest.mark.parametrize("name", staff.GROUPS)
def test_each_group_exists_with_exactly_the_rights_of_its_table(name: str) -> None:
    """Fails for a misspelt permission, too: what no app defines cannot be given."""
    assert rights(name) == staff.permissions(name)


def test_a_second_run_writes_nothing() -> None:
    before = AuditEntry.objects.count()
    assert staff.install() == []
    assert AuditEntry.objects.count() == before


def test_a_plain_migrate_makes_them() -> None:
    Group.objects.all().delete()
    call_command("migrate", verbosity=0, interactive=False)
    assert set(Group.objects.values_list("name", flat=True)) == set(staff.GROUPS)
    assert rights("moderator") == staff.permissions("moderator")


def test_what_was_changed_by_hand_is_put_right_at_the_start_and_said() -> None:
    analyst = Group.objects.get(name="analyst")
    analyst.permissions.add(Permission.objects.get(codename="view_message"))
    analyst.permissions.remove(Permission.objects.get(codename="view_ops"))
    other = Group.objects.create(name="readers")
    other.permissions.add(Permission.objects.get(codename="view_message"))
    installation.migrate()
    assert rights("analyst") == staff.permissions("analyst")
    assert rights("readers") == {("arena", "view_message")}
    entry = AuditEntry.objects.get(subject=str(analyst.pk), action="change")
    assert "view_message" in entry.before["may"] and "view_message" not in entry.after["may"]
    assert entry.actor_name == "system"


def test_half_migrated_tables_are_left_alone() -> None:
    from django.db.migrations.state import ProjectState

    Group.objects.all().delete()
    staff.after_migrate(apps=ProjectState().apps)
    assert not Group.objects.exists()


def test_nobody_but_superusers_manages_accounts_and_only_moderators_read_text() -> None:
    everything = {name: staff.permissions(name) for name in staff.GROUPS}
    assert not [app for rights in everything.values() for app, _ in rights if app == "auth"]
    text = {("arena", "view_message"), ("arena", "moderate"), ("arena", "view_report"), ("arena", "view_gateblock")}
    assert text <= everything["moderator"]
    assert not text & (everything["operator"] | everything["analyst"])
    assert all(codename.startswith("view_") for _, codename in everything["analyst"])
