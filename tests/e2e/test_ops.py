"""/ops in a browser: both themes, a phone, live, without JavaScript, and what it says when nothing comes any more."""

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import expect

from arena.operations import snapshot
from tests.e2e.person import PATIENCE_MS, Person
from tests.stack import Stack

pytestmark = pytest.mark.e2e
NewPerson = Callable[..., Person]


def sign_in(person: Person, stack: Stack) -> None:
    """An operator's session, without the sign-in form."""
    with stack.orm():
        user, _made = User.objects.get_or_create(username="ops", defaults={"is_staff": True})
        user.user_permissions.add(Permission.objects.get(codename="view_ops"))
        client = Client()
        client.force_login(user)
    session = client.cookies["sessionid"].value
    person.page.context.add_cookies([{"name": "sessionid", "value": session, "url": stack.url}])


def measured(stack: Stack, age_s: int = 0, **parts: object) -> None:
    """Put figures in place of the last ones; the next tick replaces them."""
    with stack.valkey() as valkey:
        told = snapshot.read(valkey)
        assert told, "no tick has come"
        snapshot.store(told.data | parts, valkey)
        valkey.expire(snapshot.KEY, snapshot.KEPT_S - age_s)


@pytest.fixture
def figures(stack: Stack) -> None:
    """A tick has been computed."""
    import time

    deadline = time.monotonic() + 60
    with stack.valkey() as valkey:
        while not snapshot.read(valkey):
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")])
def test_the_page_is_accessible_and_fits(newcomer: NewPerson, stack: Stack, width: int, theme: str) -> None:
    person = newcomer(width=width, theme=theme)
    sign_in(person, stack)
    hours = {f"2026-01-01T{hour:02}:00:00+00:00": [9 * hour, 4 * hour] for hour in range(24)}
    with stack.valkey() as valkey:
        told = snapshot.read(valkey)
        assert told
    engines = [*told.data["engines"], {"name": "gone", "kind": "engine", "state": "down"}]
    measured(stack, engines=engines, hour=told.data["hour"] | {"hours": hours, "failures": [["timeout", 3]]})
    person.page.goto("/ops")
    expect(person.page.locator("svg.hours rect")).to_have_count(48)
    expect(person.page.locator(".note.bad")).to_contain_text("gone")
    person.page.click("#ops-hours-table summary")
    assert person.violations() == []
    assert person.page.evaluate("document.documentElement.scrollWidth") <= width
    targets = "[...document.querySelectorAll('main a, main summary, main button')]"
    small = f"{targets}.filter(e => e.offsetHeight && e.offsetHeight < 44).map(e => e.outerHTML)"
    assert person.page.evaluate(small) == []


@pytest.mark.usefixtures("figures")
def test_new_figures_come_by_themselves_and_leave_the_reader_alone(newcomer: NewPerson, stack: Stack) -> None:
    person = newcomer()
    sign_in(person, stack)
    page = person.page
    with page.expect_websocket() as opened:
        page.goto("/ops")
    page.click("#ops-hours summary, #ops-by-client summary")
    open_before = page.evaluate("[...document.querySelectorAll('#ops details')].map(d => d.open)")
    page.evaluate("document.querySelector('#ops').dataset.mark = 'old'")
    opened.value.wait_for_event("framereceived", timeout=PATIENCE_MS)
    expect(page.locator("#ops[data-mark]")).to_have_count(0)
    assert page.evaluate("[...document.querySelectorAll('#ops details')].map(d => d.open)") == open_before
    expect(page.locator("#ops-late")).to_be_hidden()
    expect(page.locator("#ops-lost")).to_be_hidden()


@pytest.mark.usefixtures("figures")
def test_it_says_when_figures_are_old_or_the_connection_is_lost(newcomer: NewPerson, stack: Stack) -> None:
    person = newcomer()
    sign_in(person, stack)
    person.expect_error("WebSocket")
    person.expect_error("Failed to load resource")
    stack.stop("beat")
    measured(stack, age_s=300)
    page = person.page
    page.goto("/ops")
    expect(page.locator("#ops-late")).to_be_visible()
    expect(page.locator(".without-js")).to_be_hidden()
    stack.kill("web")
    expect(page.locator("#ops-lost")).to_be_visible()
    stack.heal()
    expect(page.locator("#ops-lost")).to_be_hidden()
    expect(page.locator("#ops-late")).to_be_hidden()


@pytest.mark.usefixtures("figures")
def test_without_javascript_it_is_a_snapshot_that_knows_its_age(newcomer: NewPerson, stack: Stack) -> None:
    person = newcomer(java_script_enabled=False)
    sign_in(person, stack)
    stack.stop("beat")
    measured(stack, age_s=300)
    person.page.goto("/ops")
    expect(person.page.locator(".without-js")).to_contain_text("seconds old")
    expect(person.page.locator(".without-js")).to_be_visible()
    person.page.click("text=Reload")
    expect(person.page.locator("h1")).to_have_text("Operations")


def test_strangers_see_nothing(newcomer: NewPerson, stack: Stack) -> None:
    person = newcomer()
    person.expect_error("404")
    assert person.fetch("/ops").split(b"\n")[0] == b"404"
    assert json.loads(person.fetch("/readyz").rpartition(b"\n\n")[2])["status"] == "ok"
