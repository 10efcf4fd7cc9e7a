"""A headless Chromium against the real stack. Every page must end without a console error and without an axe violation."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.crypto import get_random_string
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.person import PATIENCE_MS, Person
from tests.stack import Stack

CHROMIUM = os.environ.get("AGON_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
expect.set_options(timeout=PATIENCE_MS)  # a loaded machine may need longer than Playwright's five seconds


@pytest.fixture(scope="package")
def browser(running_stack: Stack) -> Iterator[Browser]:
    """Gone when the last of these tests is: Playwright's loop runs in this thread, so nothing else could run one of its own.

    The stack comes first, because seeding its data broadcasts, which wants a loop too.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM if Path(CHROMIUM).exists() else None, args=FLAGS.split()
        )
        yield browser
        browser.close()


@pytest.fixture
def newcomer(stack: Stack, browser: Browser) -> Iterator[Callable[..., Person]]:
    """Makes people with a browser window of their own: newcomer(width=375, theme="dark", agreed=True)."""
    people: list[Person] = []

    def make(width: int = 1280, height: int = 800, theme: str = "light", **options: object) -> Person:
        touch = {"has_touch": True, "is_mobile": True} if width < 500 else {}
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, base_url=stack.url, **touch, **options
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        people.append(Person(context.new_page(), stack))
        return people[-1]

    yield make
    for person in people:
        person.page.context.close()
    assert [error for person in people for error in person.errors] == []


@pytest.fixture
def staff(newcomer: Callable[..., Person]) -> Callable[..., Person]:
    """Makes a signed-in window of a new member of a group: staff("moderator", width=375)."""

    def make(group: str, **options: object) -> Person:
        user = User.objects.create_user(f"{group}-{get_random_string(6)}", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        person = newcomer(**options)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": person.stack.url}
        person.page.context.add_cookies([cookie])  # type: ignore[list-item]
        return person

    return make
