"""Django's admin under our content policy: every page of it in a real browser, without one complaint in its console."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from playwright.sync_api import expect

from arena.models import VoteEvent
from ranking.models import Suspicion, VoteLabel
from tests.e2e.person import Person
from tests.stack import Stack

pytestmark = pytest.mark.e2e


def pages() -> list[str]:
    """Lists, forms and histories of everything that has a row, with what leads to a popup, a date picker or a filter."""
    found = ["/admin/", "/admin/password_change/"]
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = model._default_manager.order_by("pk").last()
        found += [base, f"{base}add/", *([f"{base}{row.pk}/change/", f"{base}{row.pk}/history/"] if row else [])]
    return found


def test_no_page_of_the_admin_breaks_its_content_policy(newcomer: Callable[..., Person], stack: Stack) -> None:
    operator = newcomer()
    operator.expect_error("403")  # adding to what only the site itself writes
    operator.page.goto(stack.manage("admin_link").strip())
    operator.page.click("main button")
    operator.page.wait_for_url("**/admin/")
    operator.page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.sourceFile))"
    )
    opened = 0
    for path in pages():
        answer = operator.page.goto(path)
        assert answer is not None and answer.status in (200, 403), path
        opened += answer.status == 200
    assert opened > 50
    assert operator.errors == []


def test_what_the_admin_does_by_script_works_under_the_policy(newcomer: Callable[..., Person], stack: Stack) -> None:
    operator = newcomer()
    operator.page.goto(stack.manage("admin_link").strip())
    operator.page.click("main button")
    operator.page.wait_for_url("**/admin/")
    operator.page.goto("/admin/arena/contestant/")
    operator.page.check("#action-toggle")
    assert operator.page.locator("tr.selected").count() > 1
    operator.page.fill("#nav-filter", "contest")
    expect(operator.page.locator("#nav-sidebar tr.model-contestant")).to_be_visible()
    expect(operator.page.locator("#nav-sidebar tr.model-battle")).to_be_hidden()
    assert operator.errors == []


# Ours, or with a filter of ours. The narrow page has all that the wide one has, and "Show all" in its line of text.
LISTS = (("suspicion", 1280), ("suspicion", 375), ("boardsnapshot", 375), ("votelabel", 375))


def test_lists_of_the_ranking_are_accessible_at_a_desk_and_on_a_phone(
    staff: Callable[..., Person], stack: Stack
) -> None:
    with stack.orm():
        cast = VoteEvent.objects.filter(kind="cast").last()
        VoteLabel.objects.get_or_create(event=cast, name="math", source="file")
        Suspicion.objects.get_or_create(detector="swarm", kind="window", code="7 d to 2026-01-01", votes=3)
    operator = staff("operator")
    operator.page.goto("/admin/")
    expect(operator.page.locator(".messagelist a")).to_contain_text("suspicion")
    for name, width in LISTS:
        operator.page.set_viewport_size({"width": width, "height": 800})
        operator.page.goto(f"/admin/ranking/{name}/")
        expect(operator.page.locator("#result_list tbody tr").first).to_be_visible()
        assert operator.violations() == [], (name, width)
