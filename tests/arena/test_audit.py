"""The audit trail: what it keeps, what it hides, and that nothing can change it afterwards."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import IntegrityError, InternalError, connection, transaction

from arena import audit
from arena.models import AuditEntry, SiteConfig
from inference.models import EngineEndpoint
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="x", is_staff=True)


def config() -> SiteConfig:
    return SiteConfig.objects.get_or_create(pk=1)[0]


def test_an_entry_says_who_what_before_and_after(ada: User) -> None:
    made = audit.record(ada, "pause", config(), {"battles_paused": False}, {"battles_paused": True}, "too hot")
    entry = AuditEntry.objects.get()
    assert entry == made
    assert (entry.actor, entry.actor_name, entry.action) == (ada, "ada", "pause")
    assert (entry.kind, entry.subject, entry.title) == ("arena.siteconfig", "1", "site configuration")
    assert (entry.before, entry.after, entry.reason) == ({"battles_paused": False}, {"battles_paused": True}, "too hot")


@pytest.mark.parametrize("nobody", [None, AnonymousUser()])
def test_what_no_person_did_was_the_system(nobody: object) -> None:
    entry = audit.record(nobody, "change", config())  # type: ignore[arg-type]
    assert (entry.actor, entry.actor_name) == (None, "system")


def test_secrets_are_said_to_have_changed_and_never_shown(ada: User) -> None:
    endpoint = factories.endpoint("vendor")
    before = audit.fields(endpoint)
    endpoint.set_key("sk-first-secret")
    endpoint.save()
    entry = audit.record(ada, "change", endpoint, *audit.difference(before, audit.fields(endpoint)))
    assert (entry.before, entry.after) == ({"sealed_key": ""}, {"sealed_key": "(secret)"})
    nested = audit.record(ada, "add", endpoint, after={"deep": {"list": [{"password": "hunter2"}]}})
    assert nested.after == {"deep": {"list": [{"password": "(secret)"}]}}


def test_a_replaced_secret_shows_that_it_changed(ada: User) -> None:
    before = audit.fields(ada)
    ada.set_password("another")
    old, new = audit.difference(before, audit.fields(ada))
    entry = audit.record(ada, "change", ada, old, new)
    assert entry.before == entry.after == {"password": "(secret)"}


def test_many_to_many_names_are_kept_and_an_emptied_list_shows(ada: User) -> None:
    ada.groups.add(Group.objects.create(name="readers"))
    assert audit.fields(ada)["groups"] == ["readers"]
    ada.groups.clear()
    assert audit.fields(ada)["groups"] == []


def test_long_values_and_long_lists_are_cut(ada: User) -> None:
    entry = audit.record(ada, "x" * 99, config(), {"text": "y" * 9000, "list": list(range(1000))}, reason="z" * 9000)
    assert (len(entry.action), len(entry.before["text"]), len(entry.reason)) == (40, audit.LONGEST, audit.LONGEST)
    assert len(entry.before["list"]) == audit.MOST + 1 and entry.before["list"][-1] == "and 700 more"


def test_values_that_json_does_not_know_become_text(ada: User) -> None:
    endpoint = factories.endpoint("vendor", daily_cap="2.50")
    endpoint.refresh_from_db()
    values = audit.fields(endpoint) | {"odd": object, "nan": float("nan"), "set": {"b", "a"}}
    entry = audit.record(ada, "add", endpoint, after=values)
    assert (entry.after["daily_cap"], entry.after["nan"], entry.after["set"]) == ("2.50", "nan", ["a", "b"])
    assert "object" in entry.after["odd"] and entry.after["created_at"].endswith("Z")


def test_difference_is_only_what_differs() -> None:
    assert audit.difference({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2, "c": None}, {"b": 3, "c": 4})


# --- watched ----------------------------------------------------------------------------------------------------------


def test_watched_rows_leave_an_entry_each_for_change_and_deletion(ada: User) -> None:
    for name in ("kept", "changed", "deleted"):
        factories.endpoint(name)
    with audit.watched(ada, EngineEndpoint.objects.all()):
        EngineEndpoint.objects.filter(name="changed").update(in_flight=3)
        EngineEndpoint.objects.get(name="deleted").delete()
    found = {entry.subject: entry for entry in AuditEntry.objects.all()}
    assert set(found) == {"changed", "deleted"}
    assert (found["changed"].before, found["changed"].after) == ({"in_flight": 8}, {"in_flight": 3})
    assert (found["deleted"].action, found["deleted"].before["name"]) == ("delete", "deleted")


def test_a_write_that_fails_leaves_neither_row_nor_entry(ada: User) -> None:
    endpoint = factories.endpoint("one")
    with pytest.raises(ZeroDivisionError), audit.watched(ada, EngineEndpoint.objects.all()):
        EngineEndpoint.objects.update(in_flight=3)
        raise ZeroDivisionError
    endpoint.refresh_from_db()
    assert endpoint.in_flight == 8
    assert not AuditEntry.objects.exists()


# --- the trigger ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE arena_auditentry SET reason = 'nothing to see'",
        "UPDATE arena_auditentry SET actor_name = 'eve'",
        "UPDATE arena_auditentry SET actor_id = NULL, actor_name = 'eve'",
        "DELETE FROM arena_auditentry",
    ],
)
def test_the_database_refuses_to_change_an_entry(ada: User, statement: str) -> None:
    audit.record(ada, "pause", config())
    with pytest.raises((IntegrityError, InternalError), match="append-only"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(statement)
    assert (AuditEntry.objects.get().actor_name, AuditEntry.objects.get().reason) == ("ada", "")


def test_the_orm_cannot_either(ada: User) -> None:
    entry = audit.record(ada, "pause", config())
    for act in (entry.save, entry.delete, AuditEntry.objects.all().delete):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            act()
    assert AuditEntry.objects.count() == 1


def test_an_account_can_go_and_its_name_stays(ada: User) -> None:
    audit.record(ada, "pause", config())
    ada.delete()
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.actor_name) == (None, "ada")
