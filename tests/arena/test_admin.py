"""The operators' pages: every one opens, and the registry's rules hold in its forms."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from arena import bans, pages, registry
from arena.models import Appeal, Battle, Contestant, GateBlock, PageVersion, PairWeight, Report, SiteConfig, Turn
from inference.models import Deployment
from tests import factories

FIELDS = {"name": "Model One", "slug": "model-one", "organisation": "Lab"}
TOLD = {"model": "m1", "system_prompt": "Be brief.", "temperature": 0.5, "max_tokens": 100}
FORM = {
    **FIELDS,
    **TOLD,
    "visibility": "public",
    "sampling_weight": "1.0",
    "top_p": "1.0",
    "top_k": "0",
    "stop": "[]",
    "context_length": "2048",
    "revisions-TOTAL_FORMS": "0",
    "revisions-INITIAL_FORMS": "0",
}


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def everything(operator: Client) -> None:
    """A row of every kind that has a page."""
    first, second = sorted(factories.ring(), key=lambda contestant: contestant.pk)
    PairWeight.objects.create(first=first, second=second, weight=1.0, sampler="test")
    factories.adapter("pirate", "stub-fast")
    battle = factories.ready()
    reply = Turn.objects.get(battle=battle).replies.first()
    Report.objects.create(reply=reply, reason="other", text="<script>alert(1)</script>")
    block = GateBlock.objects.create(policy="1", category="c", rule="r", prompt="p")
    Appeal.objects.create(block=block, text="but why")
    bans.ban_visitor(factories.visitor(), None, "Flood")
    SiteConfig.objects.get_or_create(pk=1)


def urls_of(model: type, model_admin: admin.ModelAdmin) -> list[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    first = model._default_manager.first()
    urls = [reverse(f"{name}_changelist"), reverse(f"{name}_changelist") + "?q=zzz"]
    if first is not None:
        urls += [reverse(f"{name}_change", args=[first.pk]), reverse(f"{name}_history", args=[first.pk])]
    return urls


@pytest.mark.usefixtures("everything")
def test_every_page_opens(operator: Client) -> None:
    opened = [url for model, model_admin in admin.site._registry.items() for url in urls_of(model, model_admin)]
    assert len(opened) > 40
    for url in [*opened, reverse("admin:index")]:
        assert operator.get(url).status_code == 200, url


@pytest.mark.usefixtures("everything")
def test_adding_opens_or_is_forbidden_as_meant(operator: Client) -> None:
    writable = {
        "Contestant",
        "EngineEndpoint",
        "Deployment",
        "Adapter",
        "Page",
        "User",
        "Group",
        "Release",
        "RatingRound",
    }
    for model in admin.site._registry:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        expected = 200 if model.__name__ in writable else 403
        if model.__name__ == "Ban":
            expected = 302  # its form opens from a battle only: tests/arena/test_admin_bans.py
        assert operator.get(url).status_code == expected, url


@pytest.mark.usefixtures("everything")
def test_what_verbs_write_cannot_be_edited(operator: Client) -> None:
    for name in ("Battle", "Turn", "Reply", "Vote", "VoteEvent", "GateBlock", "Appeal", "Report", "PageVersion"):
        model = apps.get_model("arena", name)
        model_admin = admin.site._registry[model]
        row = model.objects.first()
        if row is None:
            assert name in ("Vote", "VoteEvent")
            continue
        assert operator.post(reverse(f"admin:arena_{name.lower()}_change", args=[row.pk]), {}).status_code == 403
        assert (
            operator.post(reverse(f"admin:arena_{name.lower()}_delete", args=[row.pk]), {"post": "yes"}).status_code
            == 403
        )
        assert not model_admin.actions


def test_it_stands_under_our_name_and_for_staff_only(operator: Client) -> None:
    assert b"Agon" in operator.get("/admin/").content
    assert Client().get("/admin/").status_code == 302


def add(operator: Client, **changes: object) -> object:
    return operator.post(reverse("admin:arena_contestant_add"), FORM | changes, follow=True)


def change(operator: Client, contestant: Contestant, **changes: object) -> object:
    return operator.post(reverse("admin:arena_contestant_change", args=[contestant.pk]), FORM | changes, follow=True)


def test_a_contestant_is_made_with_its_first_revision(operator: Client) -> None:
    page = add(operator).content.decode()
    revision = registry.current_revision(Contestant.objects.get(slug="model-one"))
    assert (revision.number, revision.model, revision.system_prompt) == (1, "m1", "Be brief.")
    assert "Nothing serves m1 yet" in page


def test_changing_what_it_is_told_makes_a_revision_and_other_changes_do_not(operator: Client) -> None:
    add(operator)
    contestant = Contestant.objects.get()
    change(operator, contestant, licence="MIT", sampling_weight="2")
    contestant.refresh_from_db()
    assert (contestant.licence, contestant.sampling_weight, contestant.revisions.count()) == ("MIT", 2.0, 1)
    page = change(operator, contestant, temperature="0.9", licence="MIT").content.decode()
    assert "Revision 2 holds from the next battle on" in page
    assert [r.temperature for r in contestant.revisions.order_by("number")] == [0.5, 0.9]


def test_the_form_shows_the_current_revision_and_the_history(operator: Client) -> None:
    add(operator)
    contestant = Contestant.objects.get()
    registry.revise(contestant, system_prompt="Be very long indeed.")
    response = operator.get(reverse("admin:arena_contestant_change", args=[contestant.pk]))
    form = response.context["adminform"].form
    assert form.initial["system_prompt"] == "Be very long indeed."
    assert b"Be brief." in response.content, "the history shows the old one"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": "3"}, "between 0"),
        ({"max_tokens": "4096"}, "less than the context length"),
        ({"stop": '"END"'}, "a list of at most 4 texts"),
        ({"stop": "[1"}, "Enter a valid JSON"),
        ({"visibility": "anonymous"}, "Needed for a contestant that is shown under a codename"),
        ({"model": ""}, "This field is required"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_mistakes_are_explained_and_write_nothing(operator: Client, wrong: dict, message: str) -> None:
    page = add(operator, **wrong).content.decode()
    assert message in page
    assert not Contestant.objects.exists()


def test_an_adapter_of_another_model_is_refused(operator: Client) -> None:
    factories.adapter("pirate", "m2")
    assert b"an adapter of m2, not of m1" in add(operator, adapter="pirate").content


def test_served_is_shown_per_contestant(operator: Client) -> None:
    factories.contestant("Served")
    factories.contestant("Unserved", model="elsewhere")
    Deployment.objects.filter(model="elsewhere").update(enabled=False)
    rows = operator.get(reverse("admin:arena_contestant_changelist")).context["cl"].result_list
    assert {row.name: row.served for row in rows} == {"Served": True, "Unserved": False}


def test_retire_is_an_action_and_delete_is_none(operator: Client) -> None:
    contestant = factories.contestant()
    url = reverse("admin:arena_contestant_changelist")
    operator.post(url, {"action": "retire", "_selected_action": [str(contestant.pk)]})
    contestant.refresh_from_db()
    assert contestant.visibility == "retired"
    assert operator.post(reverse("admin:arena_contestant_delete", args=[contestant.pk])).status_code == 403


def test_editing_a_page_makes_a_version(operator: Client) -> None:
    pages.install()
    url = reverse("admin:arena_page_change", args=["terms"])
    before = PageVersion.objects.filter(page_id="terms").count()
    form = {
        "title": "Terms",
        "language": "en",
        "text": "New terms.",
        "versions-TOTAL_FORMS": "0",
        "versions-INITIAL_FORMS": "0",
    }
    operator.post(url, form)
    operator.post(url, form)
    assert PageVersion.objects.filter(page_id="terms").count() == before + 1
    assert pages.current("terms").text == "New terms.\n"


def test_the_switches_can_be_switched(operator: Client) -> None:
    SiteConfig.objects.get_or_create(pk=1)
    url = reverse("admin:arena_siteconfig_change", args=[1])
    operator.post(url, {"battles_paused": "on", "pause_message": "Back soon", "board_source": "auto"})
    assert SiteConfig.objects.get().battles_paused


@pytest.mark.usefixtures("everything")
def test_text_is_read_at_the_desk_and_on_the_battles_page_and_nowhere_else(operator: Client) -> None:
    """Every list and every row's page, opened by a superuser: none but the battle's holds a word of anybody's."""
    words = ("Why is the sky", "An answer.", "alert(1)", "but why", "SECRET-PROMPT")
    GateBlock.objects.update(prompt="SECRET-PROMPT")
    for model, model_admin in admin.site._registry.items():
        for url in urls_of(model, model_admin):
            page = operator.get(url).content.decode()
            if model is Battle and url.endswith("/change/"):
                assert "Why is the sky" in page and "An answer." in page and "&lt;script&gt;alert(1)" in page
                assert "<script>alert(1)" not in page
            else:
                assert [word for word in words if word in page] == [], url
