"""Every write of the admin leaves its trail: add, change, delete, bulk delete, inlines, actions, accounts, passwords."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from arena import pages
from arena.admin import audited
from arena.admin.audited import AuditedAdmin
from arena.admin.readonly import ReadOnly
from arena.models import AuditEntry, Contestant, SiteConfig
from inference.models import Adapter, Deployment, EngineEndpoint
from tests import factories
from tests.arena.test_admin import FORM as CONTESTANT_FORM
from tests.arena.test_admin_endpoints import FORM as ENDPOINT_FORM
from tests.arena.test_admin_endpoints import KEY


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", password="old-password-1"))
    return client


def entries(kind: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(kind=kind, actor_name="operator").order_by("created_at", "id"))


def told(kind: str) -> list[tuple[str, dict, dict]]:
    return [(entry.action, entry.before, entry.after) for entry in entries(kind)]


def test_every_admin_page_is_audited_or_read_only() -> None:
    assert len(admin.site._registry) > 20
    for model, page in admin.site._registry.items():
        assert isinstance(page, AuditedAdmin | ReadOnly), f"{model._meta.label} can be written without a trail"
        assert not page.list_editable, f"{model._meta.label}: the list page writes past the trail"
        # a read-only page writes by verbs that leave their own trail, each with a test of its own
        own = {"Ban": {"lift"}, "Job": {"cancel"}, "Release": {"recall"}, "Suspicion": {"clear", "confirm"}}.get(
            model.__name__, set()
        )
        assert not isinstance(page, ReadOnly) or set(page.actions) <= own, (
            f"{model._meta.label}: actions without a trail"
        )
        inlines_of_readonly = page.inlines if isinstance(page, ReadOnly) else []
        assert all(issubclass(inline, ReadOnly) for inline in inlines_of_readonly)


def test_add_change_and_delete(operator: Client) -> None:
    add = reverse("admin:inference_adapter_add")
    operator.post(add, {"name": "pirate", "base_model": "m1", "path": "/a"})
    operator.post(
        reverse("admin:inference_adapter_change", args=["pirate"]), {"base_model": "m2", "path": "/a"}, follow=True
    )
    operator.post(reverse("admin:inference_adapter_delete", args=["pirate"]), {"post": "yes"})
    assert not Adapter.objects.exists()
    (added, changed, deleted) = told("inference.adapter")
    assert (added[0], added[2]["name"], added[2]["base_model"]) == ("add", "pirate", "m1")
    assert changed == ("change", {"base_model": "m1"}, {"base_model": "m2"})
    assert (deleted[0], deleted[1]["base_model"], deleted[2]) == ("delete", "m2", {})
    assert {entry.title for entry in entries("inference.adapter")} == {"pirate"}


def test_looking_refusing_and_saving_nothing_new_leave_nothing(operator: Client) -> None:
    factories.adapter("pirate", "m1")
    url = reverse("admin:inference_adapter_change", args=["pirate"])
    operator.get(url)
    operator.post(url, {"base_model": ""})
    operator.post(url, {"base_model": "m1", "path": ""})
    operator.get(reverse("admin:inference_adapter_delete", args=["pirate"]))
    assert entries("inference.adapter") == []


def test_an_address_that_is_no_row_is_answered(operator: Client) -> None:
    url = reverse("admin:arena_contestant_change", args=["no-uuid"])
    assert operator.post(url, CONTESTANT_FORM).status_code == 302
    assert operator.post(reverse("admin:inference_adapter_delete", args=["nobody"]), {"post": "yes"}).status_code == 302


def test_bulk_delete_names_each_row_and_the_question_before_it_none(operator: Client) -> None:
    for name in ("one", "two", "three"):
        factories.adapter(name, "m1")
    form = {"action": "delete_selected", "_selected_action": ["one", "two"]}
    operator.post(reverse("admin:inference_adapter_changelist"), form)
    assert entries("inference.adapter") == []
    operator.post(reverse("admin:inference_adapter_changelist"), form | {"post": "yes"})
    assert [(e.action, e.title) for e in entries("inference.adapter")] == [("delete", "one"), ("delete", "two")]
    assert set(Adapter.objects.values_list("name", flat=True)) == {"three"}


def test_an_action_touches_a_bounded_number_of_rows(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audited, "ACTION_ROWS", 1)
    rows = [factories.contestant() for _ in range(2)]
    form = {"action": "retire", "_selected_action": [str(row.pk) for row in rows]}
    page = operator.post(reverse("admin:arena_contestant_changelist"), form, follow=True)
    assert b"Choose at most 1 row at a time" in page.content
    assert not Contestant.objects.filter(visibility="retired").exists()


def test_actions_of_our_own(operator: Client) -> None:
    contestant = factories.contestant("Old")
    url = reverse("admin:arena_contestant_changelist")
    operator.post(url, {"action": "retire", "_selected_action": [str(contestant.pk)]})
    assert told("arena.contestant") == [("retire", {"visibility": "public"}, {"visibility": "retired"})]


def test_what_a_contestant_is_told_is_part_of_its_trail(operator: Client) -> None:
    operator.post(reverse("admin:arena_contestant_add"), CONTESTANT_FORM)
    contestant = Contestant.objects.get()
    url = reverse("admin:arena_contestant_change", args=[contestant.pk])
    operator.post(url, CONTESTANT_FORM | {"temperature": "0.9", "licence": "MIT"})
    added, changed = told("arena.contestant")
    assert (added[2]["model"], added[2]["revision"]) == ("m1", 1)
    assert changed[1] == {"licence": "", "temperature": 0.5, "revision": 1}
    assert changed[2] == {"licence": "MIT", "temperature": 0.9, "revision": 2}


def test_rows_inside_their_parents_page_and_a_key(operator: Client) -> None:
    operator.post(reverse("admin:inference_engineendpoint_add"), ENDPOINT_FORM | {"key": KEY})
    kept, gone = [
        Deployment.objects.create(model=name, upstream_name=name, endpoint_id="vendor") for name in ("kept", "gone")
    ]
    rows = {"deployments-TOTAL_FORMS": "3", "deployments-INITIAL_FORMS": "2", "key": "sk-second"}
    for index, row in enumerate(EngineEndpoint.objects.get().deployments.all()):
        prefix = f"deployments-{index}-"
        rows |= {f"{prefix}id": str(row.pk), f"{prefix}endpoint": "vendor", f"{prefix}model": row.model}
        rows |= {f"{prefix}upstream_name": "renamed", f"{prefix}priority": "100", f"{prefix}enabled": "on"}
        rows |= {f"{prefix}DELETE": "on"} if row == gone else {}
    new = {"endpoint": "vendor", "model": "new", "upstream_name": "new", "priority": "7", "enabled": "on"}
    rows |= {f"deployments-2-{name}": value for name, value in new.items()}
    operator.post(reverse("admin:inference_engineendpoint_change", args=["vendor"]), ENDPOINT_FORM | rows)
    found = told("inference.deployment")
    assert ("change", {"upstream_name": "kept"}, {"upstream_name": "renamed"}) in found
    assert [before["model"] for action, before, _ in found if action == "delete"] == ["gone"]
    assert [after["model"] for action, _, after in found if action == "add"] == ["new"]
    assert len(found) == 3 and Deployment.objects.filter(pk=kept.pk, upstream_name="renamed").exists()
    added, changed = told("inference.engineendpoint")
    assert added[2]["sealed_key"] == "(secret)"
    assert changed == ("change", {"sealed_key": "(secret)"}, {"sealed_key": "(secret)"})
    everything = str(list(AuditEntry.objects.values()))
    assert KEY not in everything and EngineEndpoint.objects.get().sealed_key not in everything


def test_a_page_names_its_new_version(operator: Client) -> None:
    pages.install()
    form = {"title": "Terms", "text": "New terms.", "language": "en"}
    form |= {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
    operator.post(reverse("admin:arena_page_change", args=["terms"]), form)
    ((action, before, after),) = told("arena.page")
    assert (action, after["number"], after["text"]) == ("change", before["number"] + 1, "New terms.\n")


def test_the_pause_switch(operator: Client) -> None:
    SiteConfig.objects.get_or_create(pk=1)
    url = reverse("admin:arena_siteconfig_change", args=[1])
    operator.post(url, {"battles_paused": "on", "pause_message": "Back soon", "board_source": "auto"})
    before, after = (
        {"battles_paused": False, "pause_message": ""},
        {"battles_paused": True, "pause_message": "Back soon"},
    )
    assert told("arena.siteconfig") == [("change", before, after)]


def test_accounts_groups_and_passwords(operator: Client) -> None:
    form = {"username": "ada", "usable_password": "true", "password1": "a-long-pass-9", "password2": "a-long-pass-9"}
    operator.post(reverse("admin:auth_user_add"), form)
    ada = User.objects.get(username="ada")
    group = Group.objects.get(name="moderator")
    form = {"username": "ada", "is_active": "on", "is_staff": "on", "groups": [group.pk]}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    operator.post(reverse("admin:auth_user_change", args=[ada.pk]), form)
    new = {"usable_password": "true", "password1": "another-pass-8", "password2": "another-pass-8", "set-password": "1"}
    operator.post(reverse("admin:auth_user_password_change", args=[ada.pk]), new)
    own = {"old_password": "old-password-1", "new_password1": "my-new-pass-7", "new_password2": "my-new-pass-7"}
    operator.post(reverse("admin:password_change"), own)
    added, changed, password, mine = told("auth.user")
    assert (added[0], added[2]["username"], added[2]["password"]) == ("add", "ada", "(secret)")
    assert (changed[1]["groups"], changed[2]["groups"], changed[2]["is_staff"]) == ([], ["moderator"], True)
    assert password == mine == ("change", {"password": "(secret)"}, {"password": "(secret)"})
    operator.post(reverse("admin:auth_group_add"), {"name": "readers"})
    assert [(e.action, e.title) for e in entries("auth.group")] == [("add", "readers")]
    ada.refresh_from_db()
    assert ada.check_password("another-pass-8")


def test_only_superusers_manage_accounts(db: None) -> None:
    from django.contrib.auth.models import Permission

    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client = Client()
    client.force_login(clerk)
    for name in ("auth_user_changelist", "auth_user_add", "auth_group_changelist", "auth_group_add"):
        assert client.get(reverse(f"admin:{name}")).status_code == 403
    change = reverse("admin:auth_user_change", args=[clerk.pk])
    assert client.post(change, {"username": "clerk", "is_superuser": "on"}).status_code == 403
    assert client.post(reverse("admin:auth_user_password_change", args=[clerk.pk]), {}).status_code == 403


# --- the trail's own page ---------------------------------------------------------------------------------------------


def test_the_trail_reads_as_a_table_of_before_and_after(operator: Client) -> None:
    SiteConfig.objects.get_or_create(pk=1)
    form = {"pause_message": "<b>soon</b>", "board_source": "demo"}
    operator.post(reverse("admin:arena_siteconfig_change", args=[1]), form)
    entry = AuditEntry.objects.get(kind="arena.siteconfig")
    listed = operator.get(reverse("admin:arena_auditentry_changelist") + "?kind=arena.siteconfig").content.decode()
    assert "pause_message, board_source" in listed or "board_source, pause_message" in listed
    page = operator.get(reverse("admin:arena_auditentry_change", args=[entry.pk])).content.decode()
    assert "<th scope=row>board_source</th><td>auto</td><td>demo</td>" in page
    assert "&lt;b&gt;soon&lt;/b&gt;" in page and "<b>soon" not in page


def test_the_trail_cannot_be_written_in_the_admin(operator: Client) -> None:
    entry = AuditEntry.objects.create(actor_name="ada", action="ban", kind="arena.visitor", subject="1", title="t")
    for name in ("change", "delete"):
        url = reverse(f"admin:arena_auditentry_{name}", args=[entry.pk])
        assert operator.post(url, {"post": "yes"}).status_code == 403
    assert operator.post(reverse("admin:arena_auditentry_add"), {}).status_code == 403
