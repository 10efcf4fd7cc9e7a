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
from ranking.models import BoardSnapshot
from tests.e2e.person import PATIENCE_MS, Person
from tests.e2e.test_ops import sign_in
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


def offer(stack: Stack) -> None:
    """The live board also as a category and with style control, so that there is something to choose."""
    with stack.orm():
        newest = BoardSnapshot.objects.published().filter(origin="live", category="", controlled=False)
        snapshot = newest.latest("published_at")
        fields = {"origin": "live", "board": snapshot.board, "seed": 7, "published_at": snapshot.published_at}
        for key in ({"category": "german", "votes": 111}, {"controlled": True, "votes": 222}):
            BoardSnapshot.objects.filter(**{"category": "", "controlled": False} | key | {"origin": "live"}).delete()
            BoardSnapshot.objects.create(**(fields | key))


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")])
def test_board_pages_are_accessible_and_fit(newcomer: NewPerson, stack: Stack, width: int, theme: str) -> None:
    addresses = publish(stack)
    offer(stack)
    person = newcomer(width=width, theme=theme)
    pages = (
        "/leaderboard",
        "/leaderboard?q=zzz",
        "/leaderboard?style=on",
        "/leaderboard/plots",
        "/leaderboard/sampling",
    )
    for address in (*pages, addresses[0], "/methodology"):
        person.page.goto(address)
        for summary in person.page.locator("main summary").all():
            summary.click()
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


def test_boards_are_chosen_without_javascript_and_every_view_keeps_to_them(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    offer(stack)
    page = newcomer(java_script_enabled=False).page
    page.goto("/leaderboard")
    page.select_option("[name=category]", "german")
    page.select_option("[name=sort]", "votes")
    page.click("text=Show")
    assert "category=german" in page.url and "sort=votes" in page.url
    expect(page.locator(".board-head p")).to_contain_text("111 votes")
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Votes")
    page.click(".tabs >> text=Plots")
    expect(page.locator("[name=category]")).to_have_value("german")
    page.select_option("[name=category]", "")
    page.click("text=Show")
    page.check("[name=style]")
    page.click("text=Show")
    expect(page.locator(".board-head p")).to_contain_text("222 votes")
    page.click(".tabs >> text=Table")
    expect(page.locator("[name=style]")).to_be_checked()
    page.uncheck("[name=style]")
    page.click("text=Show")
    expect(page.locator(".board-head p")).not_to_contain_text("222 votes")


def test_every_column_sorts_both_ways_and_a_phone_has_a_list_for_it(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    page = newcomer().page
    page.goto("/leaderboard")
    for label in page.locator("table.board th a").all_text_contents():
        page.click(f"table.board th a >> text='{label}'")
        first = page.locator("th[aria-sort]").get_attribute("aria-sort")
        page.click(f"table.board th a >> text='{label}'")
        assert {first, page.locator("th[aria-sort]").get_attribute("aria-sort")} == {"ascending", "descending"}, label
    phone = newcomer(width=375).page
    phone.goto("/leaderboard")
    expect(phone.locator("table.board thead")).to_be_hidden()
    phone.select_option("[name=sort]", "model")
    phone.click("text=Show")
    names = phone.locator("table.board td.model a").all_text_contents()
    assert names == sorted(names, key=str.casefold) and len(names) > 2
    assert (
        phone.locator("table.board td.more").first.evaluate("node => getComputedStyle(node, '::before').content")
        != "none"
    )


def test_the_files_are_those_of_the_shown_board(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    offer(stack)
    page = newcomer().page
    page.goto("/leaderboard?category=german")
    for label, ending in (("CSV", ".csv"), ("JSON", ".json")):
        with page.expect_download() as loaded:
            page.click(f"a[download] >> text={label}")
        assert loaded.value.suggested_filename.startswith("agon-board-live-german-")
        assert loaded.value.suggested_filename.endswith(ending)


def test_an_operator_plans_votes(newcomer: NewPerson, stack: Stack) -> None:
    publish(stack)
    for width, theme, scripts in ((1280, "light", True), (375, "dark", True), (1280, "light", False)):
        person = newcomer(width=width, theme=theme, java_script_enabled=scripts)
        sign_in(person, stack)
        person.page.goto("/ops")
        person.page.click("text=Votes still needed")
        rows_shown = person.page.locator("table.plans tbody tr")
        all_pairs = rows_shown.count()
        assert all_pairs >= 2
        person.page.select_option("[name=power]", "95")
        person.page.select_option("[name=pair]", "1")
        person.page.click("button >> text=Plan")
        expect(rows_shown).to_have_count(1)
        expect(person.page.locator("[name=power]")).to_have_value("95")
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width
        if scripts:
            assert person.violations() == []


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
