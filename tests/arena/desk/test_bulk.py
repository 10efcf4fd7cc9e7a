"""Many at once: what is passed, what is left alone, and what is never passed like that."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from arena import battles
from arena.desk import deciding
from arena.models import AuditEntry, Turn
from arena.moderation import decisions
from arena.votes import cast_vote
from tests import factories
from tests.arena.desk.cases import battle, decide, look, moderator, page, verdict_of

pytestmark = pytest.mark.django_db


def chosen(client: Client, slug: str = "waiting", query: str = "") -> list[str]:
    return re.findall(r'name="chosen" value="([^"]+)"', page(client, slug, query=query).content.decode())


def test_many_are_passed_with_one_reason(desk: Client, ada: User) -> None:
    three = [battle() for _ in range(3)]
    left = battle()
    ticked = [value for value in chosen(desk) if not value.startswith(str(left.pk))]
    answer = desk.post("/desk/waiting/pass/?consented=1", {"chosen": ticked, "reason": "read them all"})
    assert (answer.status_code, answer["Location"]) == (303, "/desk/waiting/?consented=1")
    assert [verdict_of(one) for one in (*three, left)] == [{"passed"}] * 3 + [{"pending"}]
    assert AuditEntry.objects.filter(actor=ada, action="pass", reason="read them all").count() == 3
    assert b"3 conversations passed." in desk.get("/desk/waiting/").content


def test_what_changed_since_the_list_was_loaded_is_left_alone_and_said(desk: Client) -> None:
    fine, decided, grown = battle(), battle(), battle()
    ticked = chosen(desk)
    decisions.block_battle(decided, moderator("bob"), "a threat")
    battles.send(grown, "more", uuid4(), "g")
    factories.finish(Turn.objects.get(battle=grown, number=2))
    desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": "r"})
    assert [verdict_of(one) for one in (fine, decided, grown)] == [{"passed"}, {"blocked"}, {"pending"}]
    shown = desk.get("/desk/waiting/").content.decode()
    assert "1 conversation passed." in shown and "2 were decided by colleagues or went on meanwhile" in shown


def test_what_is_being_written_waits_for_its_end(desk: Client) -> None:
    fine, busy = battle(), battle()
    cast_vote(busy.pk, "a", 1)
    busy.refresh_from_db()
    battles.send(busy, "and after the reveal?", uuid4(), "g")
    ticked = chosen(desk)
    assert len(ticked) == 2
    desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": "r"})
    assert [verdict_of(one) for one in (fine, busy)] == [{"passed"}, {"pending"}]
    assert decide(desk, "waiting", busy.pk, "pass").status_code == 409
    assert decide(desk, "waiting", busy.pk, "block", "a threat").status_code == 303


@pytest.mark.parametrize("category", sorted(deciding.SEVERE))
def test_the_gravest_are_never_passed_in_bulk(desk: Client, category: str) -> None:
    grave, mild = battle(), battle()
    for one, name in ((grave, category), (mild, "violence")):
        look(one, "flagged", name)
    assert [value[:36] for value in chosen(desk, "flagged")] == [str(mild.pk)], "there is no box to tick"
    marks = deciding.marks([grave, mild])
    desk.post("/desk/flagged/pass/", {"chosen": [f"{pk}:{mark}" for pk, mark in marks.items()], "reason": "r"})
    assert verdict_of(mild) == {"passed"} and "flagged" in verdict_of(grave)
    assert b"has to be opened" in desk.get("/desk/flagged/").content
    assert decide(desk, "flagged", grave.pk, "pass", "a biology lesson").status_code == 303


@pytest.mark.parametrize(
    "form",
    [
        {"chosen": [], "reason": "r"},
        {"chosen": ["nonsense"], "reason": "r"},
        {"chosen": [str(uuid4())], "reason": "r"},
        {"chosen": [f"{uuid4()}:." for _ in range(4)], "reason": "r"},
        {"reason": "r"},
    ],
)
def test_bulk_forms_that_make_no_sense(desk: Client, settings, form: dict) -> None:
    settings.DESK_BULK = 3
    one = battle()
    refused = desk.post("/desk/waiting/pass/", form)
    assert refused.status_code == 400 and b'role="alert"' in refused.content
    assert verdict_of(one) == {"pending"}


def test_bulk_wants_a_reason_and_skips_what_is_gone(desk: Client) -> None:
    one = battle()
    ticked = chosen(desk)
    assert desk.post("/desk/waiting/pass/", {"chosen": ticked, "reason": " "}).status_code == 400
    assert desk.post("/desk/waiting/pass/", {"chosen": [*ticked, f"{uuid4()}:."], "reason": "r"}).status_code == 303
    assert verdict_of(one) == {"passed"}
