"""What staff may do to the board."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena.models import AuditEntry
from ranking.models import BoardSnapshot
from tests.ranking.publishing import publish, text


@pytest.mark.django_db
def test_wiping_takes_a_permitted_member_of_staff_and_a_confirmed_post(client: Client) -> None:
    publish((40, 10), origin="demo")
    assert client.post("/leaderboard/wipe-demo/").status_code == 403
    plain = User.objects.create_user("plain", password="x", is_staff=True)
    client.force_login(plain)
    assert client.post("/leaderboard/wipe-demo/").status_code == 403
    assert "Remove for good" not in text(client, "/leaderboard")
    client.force_login(User.objects.create_superuser("root", password="x"))
    assert client.get("/leaderboard/wipe-demo/").status_code == 405
    assert "Remove for good" in text(client, "/leaderboard")
    answer = client.post("/leaderboard/wipe-demo/")
    assert (answer.status_code, answer["Location"]) == (303, "/leaderboard")
    assert not BoardSnapshot.objects.exists()


@pytest.mark.django_db
def test_wiping_needs_a_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root", password="x"))
    assert client.post("/leaderboard/wipe-demo/").status_code == 403


@pytest.mark.django_db
def test_publishing_now_is_queued_and_audited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish((4, 2))
    queued: list[str] = []
    monkeypatch.setattr("arena.voiding.queue", lambda task: queued.append(task) or True)
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = text(client, "/admin/ranking/boardsnapshot/")
    assert "Publish now" in page and "publishes the live boards next at" in page
    assert client.get("/admin/ranking/boardsnapshot/publish/").status_code == 302 and not queued
    assert client.post("/admin/ranking/boardsnapshot/publish/").status_code == 302
    assert queued == ["ranking.tasks.publish_now"]
    assert AuditEntry.objects.filter(action="publish board", actor__username="root").count() == 1
    client.force_login(User.objects.create_user("plain", password="x", is_staff=True))
    assert client.post("/admin/ranking/boardsnapshot/publish/").status_code in (302, 403)
    assert len(queued) == 1


@pytest.mark.django_db
def test_the_admin_lists_snapshots_and_queues_a_fit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish((4, 2), origin="demo")
    queued: list[bool] = []
    monkeypatch.setattr("arena.voiding.ask_for_a_fit", lambda: queued.append(True) or True)
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = text(client, "/admin/ranking/boardsnapshot/")
    assert "Wipe the demo data" in page
    assert page.index("Refit now") < page.index("A fit is for staff"), (
        "the buttons float: words after them flow around them"
    )
    assert text(client, f"/admin/ranking/boardsnapshot/{BoardSnapshot.objects.get().pk}/change/")
    assert text(client, "/admin/ranking/paircount/")
    assert client.get("/admin/ranking/boardsnapshot/refit/").status_code == 302 and not queued
    assert client.post("/admin/ranking/boardsnapshot/refit/").status_code == 302 and queued == [True]
    client.post("/admin/ranking/boardsnapshot/wipe-demo/")
    assert not BoardSnapshot.objects.exists()
