"""A withheld answer: the page says so, shows nothing of it, and offers no vote."""

from dataclasses import replace

import pytest

from arena.models import Battle, Message
from arena.moderation.scan import Match
from arena.turns import Outcome
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
SECRET = "Then fill the pipe bomb."


def cut() -> Outcome:
    return replace(factories.outcome(SECRET, "blocked"), html="", cut=Match("weapons.reply", "weapons"))


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def battle(person: Person) -> Battle:
    return person.ready(a=cut(), b=factories.outcome("An honest answer."))


@pytest.mark.parametrize("htmx", [False, True])
def test_the_page_says_that_it_was_withheld(person: Person, battle: Battle, htmx: bool) -> None:
    page = person.get(url(battle), htmx=htmx).content.decode()
    assert 'data-phase="void"' in page
    assert "An answer was withheld" in page
    assert "This answer was withheld: it went against the rules of this site." in page
    assert "An honest answer." in page
    assert 'name="choice"' not in page and 'id="composer"' not in page and "/retry/" not in page
    assert page.count("Send report") == 1, "only what can be read can be reported"


def test_its_text_never_reaches_the_person(person: Person, battle: Battle) -> None:
    Message.objects.filter(text=SECRET).update(html=f"<p>{SECRET}</p>")  # even if somebody rendered it later
    for path in (url(battle), "/me/"):
        assert "pipe bomb" not in person.get(path).content.decode()
    assert person.post(url(battle, "vote/"), choice="a", turn=1).status_code == 410


def test_a_battle_that_a_moderator_took_out_is_not_called_withheld(person: Person) -> None:
    battle = person.ready()
    Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="moderated")
    page = person.get(url(battle)).content.decode()
    assert "withheld" not in page.replace('data-t-blocked="withheld"', "")
    assert "It was taken out of the contest" in page


def test_after_the_reveal_the_conversation_ends_there(person: Person) -> None:
    battle = person.voted()
    person.post(url(battle, "turns/"), prompt="And now?", key="7d9ec5fe-6a6d-4a1e-9a62-3b1c1c7f0a11")
    factories.finish(battle.turns.get(number=2), a=cut())
    page = person.get(url(battle)).content.decode()
    assert "This answer was withheld" in page and "pipe bomb" not in page
    assert 'id="composer"' not in page
    refused = person.post(url(battle, "turns/"), prompt="Go on", key="7d9ec5fe-6a6d-4a1e-9a62-3b1c1c7f0a12")
    assert refused.status_code == 409
    assert "this conversation ends here" in refused.content.decode()
