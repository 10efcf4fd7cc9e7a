"""Who may see the desk, and what it makes of wrong addresses, methods and forms."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from arena.models import Visitor
from tests.arena.desk.cases import appeal, battle, verdict_of

pytestmark = pytest.mark.django_db


def addresses() -> list[str]:
    one = battle()
    return ["/desk/", "/desk/reports/", "/desk/waiting/", f"/desk/waiting/{one.pk}/", f"/desk/appeals/{appeal().pk}/"]


def test_strangers_are_sent_to_the_sign_in_and_back() -> None:
    for url in addresses():
        answer = Client().get(url)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={url}")
    one = battle()
    assert Client().post(f"/desk/waiting/{one.pk}/decide/", {"verdict": "pass"}).status_code == 302
    assert verdict_of(one) == {"pending"}


@pytest.mark.parametrize("group", ["operator", "analyst", ""])
def test_staff_without_the_right_is_refused(group: str) -> None:
    user = User.objects.create_user("o", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    one = battle()
    for url in addresses():
        assert client.get(url).status_code == 403, url
    assert client.post(f"/desk/waiting/{one.pk}/decide/", {"verdict": "pass"}).status_code == 403
    assert client.post("/desk/waiting/pass/", {"chosen": f"{one.pk}:.", "reason": "r"}).status_code == 403
    assert verdict_of(one) == {"pending"}


def test_a_right_without_being_staff_opens_nothing() -> None:
    user = User.objects.create_user("o")
    user.user_permissions.add(Permission.objects.get(codename="moderate"))
    client = Client()
    client.force_login(user)
    refused = client.get("/desk/")
    assert refused.status_code == 403
    assert "This account has no right to this page." in refused.content.decode()


def test_wrong_addresses_and_methods(desk: Client) -> None:
    assert desk.get("/desk/nonsense/").status_code == 404
    assert desk.get(f"/desk/waiting/{uuid4()}/").status_code == 404
    assert desk.get("/desk/waiting/no-uuid/").status_code == 404
    assert desk.get(f"/desk/waiting/{uuid4()}/decide/").status_code == 405
    assert desk.post("/desk/waiting/").status_code == 405
    assert desk.post("/desk/reports/pass/", {"chosen": "x"}).status_code == 404
    block = appeal().block
    assert desk.post(f"/desk/blocked/{block.pk}/decide/", {"verdict": "pass"}).status_code == 404


def test_forms_need_a_token(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.post(f"/desk/waiting/{battle().pk}/decide/", {"verdict": "pass"}).status_code == 403


def test_addresses_by_name_exist() -> None:
    assert reverse("desk_case", args=["waiting", uuid4()]).startswith("/desk/waiting/")
    assert Visitor.objects.count() == 0
