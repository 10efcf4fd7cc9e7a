"""The start page, over HTTP: consent, prompts that cannot be taken, and what a form leads to."""

from uuid import uuid4

import pytest
from django.urls import reverse

from arena.models import Appeal, Battle, Consent, GateBlock, SiteConfig, Turn, Visitor
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def body(response) -> str:
    return response.content.decode()


def test_the_start_page_asks_for_consent_once() -> None:
    factories.ring()
    person = Person(agreed=False)
    assert 'name="agree_terms"' in body(person.get("/"))
    assert person.start(agree_terms="1", publish="1").status_code == 303
    assert Consent.objects.get().publish is True
    assert 'name="agree_terms"' not in body(person.get("/"))


def test_no_battle_and_no_trace_without_consent() -> None:
    factories.ring()
    response = Person(agreed=False).start()
    assert response.status_code == 403
    assert "accept the terms" in body(response)
    assert not Battle.objects.exists() and not Visitor.objects.exists()


def test_publishing_is_off_unless_chosen() -> None:
    factories.ring()
    Person(agreed=False).start(agree_terms="1")
    assert Consent.objects.get().publish is False


def test_a_form_goes_to_its_battle() -> None:
    factories.ring()
    response = Person().start()
    battle = Battle.objects.get()
    assert response.status_code == 303 and response["Location"] == url(battle)


def test_htmx_is_sent_to_the_battle() -> None:
    factories.ring()
    response = Person().start(htmx=True)
    assert response.status_code == 204 and response["HX-Redirect"] == url(Battle.objects.get())


def test_the_same_key_is_the_same_battle() -> None:
    factories.ring()
    person, key = Person(), str(uuid4())
    assert person.start(key=key)["Location"] == person.start(key=key)["Location"]
    assert Battle.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x", "1234"])
def test_a_broken_key_is_refused(key: str) -> None:
    factories.ring()
    assert Person().start(key=key).status_code == 400


@pytest.mark.parametrize(("prompt", "status"), [("", 400), ("  \n", 400), ("x" * 30_001, 413)])
def test_unusable_prompts_keep_their_text_and_say_why(prompt: str, status: int) -> None:
    factories.ring()
    person = Person()
    page = person.start(prompt=prompt)
    assert page.status_code == status and 'role="alert"' in body(page)
    if prompt.strip():
        assert prompt in body(page)
    part = person.start(prompt=prompt, htmx=True)
    assert part.status_code == status and part["HX-Retarget"] == "#notice" and "<html" not in body(part)


def test_examples_fill_the_prompt_without_scripts() -> None:
    page = body(Person().get("/?example=code"))
    assert "SELECT o.id" in page.split("</textarea>")[0]
    assert "<textarea" in body(Person().get("/?example=nonsense"))


def test_too_fast_says_when_again(settings) -> None:
    settings.LIMIT_VISITOR_BURST, settings.LIMIT_VISITOR_PER_MINUTE = 1, 6
    factories.ring()
    person = Person()
    person.start()
    response = person.start(htmx=True)
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 10
    assert "data-seconds" in body(response)


def test_a_paused_site_says_so() -> None:
    factories.ring()
    SiteConfig.objects.update(battles_paused=True, pause_message="Back at noon.")
    response = Person().start()
    assert response.status_code == 503 and "Back at noon." in body(response)


def test_a_blocked_prompt_can_be_appealed_by_its_author_only(monkeypatch) -> None:
    from arena.moderation import gate

    refused = gate.GateVerdict(allowed=False, category="test", rule="r1", policy="v1", help_lines=("Call somebody.",))
    monkeypatch.setattr(gate, "check_prompt", lambda text: refused)
    factories.ring()
    person = Person()
    response = person.start(prompt="something bad", htmx=True)
    block = GateBlock.objects.get()
    assert response.status_code == 422 and "Call somebody." in body(response) and str(block.pk) in body(response)
    assert not Turn.objects.exists()
    assert Person().post(reverse("appeal"), block=block.pk, text="mine").status_code == 404
    assert Person(agreed=False).post(reverse("appeal"), block=block.pk).status_code == 404
    for htmx in (True, False):
        assert "noted" in body(person.post(reverse("appeal"), htmx=htmx, block=block.pk, text="a mistake"))
    assert Appeal.objects.get().text == "a mistake"
