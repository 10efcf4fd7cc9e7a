"""Endpoints in the admin: keys that are written and never read, and the test reply."""

import logging
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from inference.models import Deployment, EngineEndpoint
from tests import factories
from tests.stub_engine import StubEngine

KEY = "sk-live-51c0ffee51c0ffee"
FORM = {
    "name": "vendor",
    "kind": "openai",
    "base_url": "https://api.example.com",
    "limit_field": "max_tokens",
    "asks_usage": "on",
    "in_flight": "8",
    "connect_timeout_s": "5",
    "first_token_timeout_s": "5",
    "idle_timeout_s": "5",
    "total_timeout_s": "20",
    "queue_timeout_s": "20",
    "enabled": "on",
    "deployments-TOTAL_FORMS": "0",
    "deployments-INITIAL_FORMS": "0",
}


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture(scope="module")
def stub() -> Iterator[StubEngine]:
    with StubEngine(key=KEY, tick_ms=10) as running:
        yield running


def add(operator: Client, **changes: str) -> bytes:
    return operator.post(reverse("admin:inference_engineendpoint_add"), FORM | changes, follow=True).content


def change(operator: Client, **changes: str) -> bytes:
    url = reverse("admin:inference_engineendpoint_change", args=["vendor"])
    return operator.post(url, FORM | changes, follow=True).content


def test_a_key_is_sealed_and_never_shown(operator: Client) -> None:
    shown = add(operator, key=KEY)
    endpoint = EngineEndpoint.objects.get()
    assert endpoint.open_key() == KEY
    assert KEY not in endpoint.sealed_key
    url = reverse("admin:inference_engineendpoint_change", args=["vendor"])
    shown += operator.get(url).content + operator.get(reverse("admin:inference_engineendpoint_changelist")).content
    shown += operator.get(reverse("admin:inference_engineendpoint_history", args=["vendor"])).content
    assert b'placeholder="set"' in shown
    assert KEY.encode() not in shown
    assert endpoint.sealed_key.encode() not in shown


def test_saving_without_a_key_keeps_it_and_a_new_one_replaces_it(operator: Client) -> None:
    add(operator, key=KEY)
    change(operator, in_flight="3")
    endpoint = EngineEndpoint.objects.get()
    assert (endpoint.open_key(), endpoint.in_flight) == (KEY, 3)
    change(operator, key="another-key")
    assert EngineEndpoint.objects.get().open_key() == "another-key"


def test_a_key_can_be_removed(operator: Client) -> None:
    add(operator, key=KEY)
    assert b"Either replace the key or remove it" in change(operator, key="x" * 9, clear_key="on")
    change(operator, clear_key="on")
    assert EngineEndpoint.objects.get().sealed_key == ""
    url = reverse("admin:inference_engineendpoint_change", args=["vendor"])
    assert b'placeholder="not set"' in operator.get(url).content


def test_a_mistyped_form_does_not_send_the_key_back(operator: Client) -> None:
    assert KEY.encode() not in add(operator, key=KEY, base_url="nonsense")
    assert b"copy it again" in add(operator, key="two words")
    assert not EngineEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("https://api.example.com", "https://api.example.com/v1"),
        (" https://api.example.com/v1/ ", "https://api.example.com/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("https://host/openai/v2", "https://host/openai/v2"),
        ("unix:///run/engine.sock", "unix:///run/engine.sock"),
    ],
)
def test_addresses_are_brought_into_one_form(operator: Client, written: str, stored: str) -> None:
    add(operator, base_url=written)
    assert EngineEndpoint.objects.get().base_url == stored


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host",
        "api.example.com",
        "https://",
        "https://user:pw@host/v1",
        "https://host/v1?key=x",
        "https://host:port/v1",
        "unix://relative",
        "https://host/v1/chat/completions",
    ],
)
def test_what_is_no_address_is_explained(operator: Client, address: str) -> None:
    assert b"errornote" in add(operator, base_url=address)
    assert not EngineEndpoint.objects.exists()


def test_a_key_in_plain_sight_is_warned_about(operator: Client) -> None:
    assert b"travels unencrypted" in add(operator, key=KEY, base_url="http://far.example.com/v1")


def test_a_key_in_plain_sight_on_this_machine_is_fine(operator: Client) -> None:
    assert b"travels unencrypted" not in add(operator, key=KEY, base_url="http://localhost:8001/v1")


def stream_test(operator: Client, upstream: str, stub: StubEngine, key: str = KEY) -> str:
    endpoint = factories.endpoint("vendor", base_url=f"{stub.url}/v1", first_token_timeout_s=1, idle_timeout_s=1)
    endpoint.set_key(key)
    endpoint.save()
    Deployment.objects.create(model="m", endpoint=endpoint, upstream_name=upstream)
    url = reverse("admin:inference_engineendpoint_changelist")
    response = operator.post(url, {"action": "stream_a_test_reply", "_selected_action": ["vendor"]}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_a_test_reply_shows_latency_and_tokens(operator: Client, stub: StubEngine) -> None:
    page = stream_test(operator, "stub?n=5&rate=50", stub)
    assert "First token" in page
    assert "w1 w2 w3 w4 w5" in page
    assert "5 out" in page
    assert stub.requests()[-1]["body"]["max_tokens"] == 64


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("stub-429", "Rate limit reached"),
        ("stub-500", "Internal error"),
        ("stub-hang", "timeout"),
        ("stub?fault=garbage&after=1", "bad_response"),
        ("stub-truncate", "truncated"),
        ("stub?nonsense=1", "HTTP 400"),
    ],
)
def test_a_test_reply_shows_what_the_provider_says(
    operator: Client, stub: StubEngine, caplog: pytest.LogCaptureFixture, upstream: str, shown: str
) -> None:
    caplog.set_level(logging.DEBUG)
    page = stream_test(operator, upstream, stub)
    assert shown in page
    assert KEY not in page
    assert KEY not in caplog.text


def test_a_test_reply_with_a_wrong_key(operator: Client, stub: StubEngine) -> None:
    page = stream_test(operator, "stub", stub, key="sk-wrong-0000000")
    assert "HTTP 401" in page
    assert "sk-wrong" not in page


def test_nothing_to_test_is_said(operator: Client) -> None:
    factories.endpoint("vendor")
    url = reverse("admin:inference_engineendpoint_changelist")
    response = operator.post(url, {"action": "stream_a_test_reply", "_selected_action": ["vendor"]}, follow=True)
    assert b"add a deployment of a model first" in response.content


def test_a_key_that_cannot_be_opened_is_said(operator: Client, stub: StubEngine, settings: object) -> None:
    endpoint = factories.endpoint("vendor", base_url=f"{stub.url}/v1")
    endpoint.set_key(KEY)
    endpoint.save()
    Deployment.objects.create(model="m", endpoint=endpoint, upstream_name="stub")
    settings.SEAL_KEYS = ["a different key altogether"]
    url = reverse("admin:inference_engineendpoint_changelist")
    response = operator.post(url, {"action": "stream_a_test_reply", "_selected_action": ["vendor"]}, follow=True)
    assert b"AGON_SEAL_KEYS" in response.content


def test_staff_without_the_right_cannot_test(db: None, stub: StubEngine) -> None:
    client = Client()
    client.force_login(User.objects.create_user("helper", is_staff=True))
    url = reverse("admin:inference_engineendpoint_changelist")
    assert client.post(url, {"action": "stream_a_test_reply", "_selected_action": ["vendor"]}).status_code == 403


@pytest.mark.parametrize(("right", "requests"), [("view", 0), ("change", 1)])
def test_who_may_only_look_cannot_test(db: None, stub: StubEngine, right: str, requests: int) -> None:
    user = User.objects.create_user("helper", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=f"{right}_engineendpoint"))
    client = Client()
    client.force_login(user)
    stub.reset()
    stream_test(client, "stub-fast", stub)
    assert stub.stats().get("requests", 0) == requests


@pytest.mark.django_db(transaction=True)
async def test_the_test_reply_works_where_the_site_runs_asynchronously(stub: StubEngine) -> None:
    from asgiref.sync import sync_to_async
    from django.test import AsyncClient

    def prepare() -> User:
        endpoint = factories.endpoint("vendor", base_url=f"{stub.url}/v1")
        endpoint.set_key(KEY)
        endpoint.save()
        Deployment.objects.create(model="m", endpoint=endpoint, upstream_name="stub?n=5&rate=0")
        return User.objects.create_superuser("operator")

    client = AsyncClient()
    await client.aforce_login(await sync_to_async(prepare)())
    url = reverse("admin:inference_engineendpoint_changelist")
    response = await client.post(url, {"action": "stream_a_test_reply", "_selected_action": ["vendor"]})
    assert b"w1 w2 w3 w4 w5" in response.content
