"""The board in a browser: both themes, a phone, without JavaScript, and the announcement of new figures."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from arena.embedded import paths
from arena.models import Contestant
from tests.e2e.person import PATIENCE_MS, Person
from tests.ranking import rows
from tests.stack import Stack

pytestmark = pytest.mark.e2e
NewPerson = Callable[..., Person]


def publish(stack: Stack, wins: int = 6) -> list[str]:
    """More live votes among the demo contestants, counted and published; returns their addresses."""
    with stack.orm():
        models = list(Contestant.objects.filter(demo=True))
        for better, worse in zip(models, models[1:], strict=False):
            rows.ballot(better, worse, wins=wins, losses=3, ties=1)
        addresses = [f"/models/{model.slug}/" for model in models]
    with stack.environment():
        command = [sys.executable, "manage.py", "publish_board"]
        env = os.environ | {"DJANGO_SETTINGS_MODULE": "arena.settings"}
        done = subprocess.run(
            command, cwd=paths.PROJECT, env=env, check=False, timeout=60, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return addresses


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")])
def test_board_pages_are_accessible_and_fit(newcomer: NewPerson, stack: Stack, width: int, theme: str) -> None:
    addresses = publish(stack)
    person = newcomer(width=width, theme=theme)
    for address in ("/leaderboard", "/leaderboard?q=zzz", addresses[0], "/methodology"):
        person.page.goto(address)
        if address == "/leaderboard":
            person.page.click("summary")
        assert person.violations() == [], address
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_search_sort_and_a_model_page_work_without_javascript(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    person = newcomer(java_script_enabled=False)
    page = person.page
    page.goto("/leaderboard")
    page.click("th a >> text=Votes")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Votes")
    page.fill("[name=q]", "pirate")
    page.click("text=Show")
    expect(page.locator("table.board tbody tr")).to_have_count(1)
    page.click("table.board td.model a")
    expect(page.locator("h1")).to_contain_text("Pirate")


def test_an_open_board_hears_of_new_figures(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    page = newcomer().page
    with page.expect_websocket() as opened:
        page.goto("/leaderboard")
    before = page.locator(".board-head p").text_content()
    expect(page.locator("[data-live-board]")).to_be_hidden()
    opened.value.wait_for_event("framereceived", timeout=PATIENCE_MS)  # the socket is in its group: a tick has come
    publish(stack, wins=7)
    expect(page.locator("[data-live-board]")).to_be_visible()
    page.click("[data-live-board] a")
    expect(page.locator("[data-live-board]")).to_be_hidden()
    assert page.locator(".board-head p").text_content() != before


def test_the_start_page_ticks(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    page = newcomer().page
    with page.expect_websocket() as opened:
        page.goto("/")
    frame = opened.value.wait_for_event("framereceived", timeout=PATIENCE_MS)
    message = json.loads(frame if isinstance(frame, str) else frame["payload"])
    assert message["type"] == "ticker" and set(message) == {"type", "battles_now", "votes_week"}
    words = "vote" if message["votes_week"] == 1 else "votes"
    expect(page.locator("[data-live=votes_week]")).to_have_text(f"{message['votes_week']:,} {words} this week")
