"""An operator's first minute: the one-time link in a real browser, and the registry behind it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from arena.models import Contestant
from tests.e2e.person import Person
from tests.stack import Stack

pytestmark = pytest.mark.e2e


@pytest.fixture
def link(stack: Stack) -> str:
    """What `manage.py admin_link` prints on the stack's machine."""
    done = stack.manage("admin_link")
    assert done.startswith(f"{stack.url}/admin-login/")
    return done.strip()


def test_the_one_time_link_opens_the_admin_once(newcomer: Callable[..., Person], link: str) -> None:
    operator, late = newcomer(), newcomer()
    operator.page.goto(link)
    assert operator.violations() == []
    operator.page.click("main button")
    operator.page.wait_for_url("**/admin/")
    expect(operator.page.locator("#site-name")).to_contain_text("Agon")
    late.expect_error("410")
    late.page.goto(link)
    late.page.click("main button")
    expect(late.page.locator("h1")).to_have_text("This link no longer works")


def test_the_registry_opens_and_a_told_field_makes_a_revision(newcomer: Callable[..., Person], link: str) -> None:
    operator = newcomer()
    operator.page.goto(link)
    operator.page.click("main button")
    operator.page.wait_for_url("**/admin/")
    laconic = Contestant.objects.get(slug="laconic-135m")
    before = laconic.revisions.count()
    operator.page.goto(f"/admin/arena/contestant/{laconic.pk}/change/")
    operator.page.fill("[name=max_tokens]", "99")
    operator.page.click("[name=_continue]")
    expect(operator.page.locator(".messagelist")).to_be_visible()
    assert laconic.revisions.count() == before + 1
    assert laconic.revisions.get(current=True).max_tokens == 99


def test_the_site_and_its_admin_agree_on_the_theme(newcomer: Callable[..., Person], link: str) -> None:
    operator = newcomer()
    operator.page.goto(link)
    operator.page.click("main button")
    operator.page.wait_for_url("**/admin/")
    operator.page.goto("/desk/")
    switch = operator.page.locator("[data-theme-switch]")
    expect(switch).to_have_attribute("aria-label", "Theme: like the system")
    expect(switch.locator("svg:visible")).to_have_count(1)
    switch.click()
    switch.click()
    expect(switch).to_have_attribute("aria-label", "Theme: dark")
    operator.page.goto("/admin/")
    expect(operator.page.locator("html")).to_have_attribute("data-theme", "dark")
