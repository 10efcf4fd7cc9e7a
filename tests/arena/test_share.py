"""S24: a share link cannot be guessed, can be taken back, is kept out of search engines and logs, and names only after a vote."""

import re

import pytest

from arena import battles
from arena.errors import Refused
from arena.models import Battle
from tests import factories
from tests.arena.views_help import Person, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def token_of(person: Person, battle: Battle) -> str:
    assert person.post(url(battle, "share/")).status_code == 303
    battle.refresh_from_db()
    assert battle.share_token
    return battle.share_token


def test_a_link_has_256_bits_that_follow_from_nothing() -> None:
    person = Person()
    first, second = (person.voted() for _ in range(2))
    tokens = {token_of(person, battle) for battle in (first, second)}
    assert len(tokens) == 2 and all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    for token in tokens:
        assert first.pk.hex not in token and str(person.visitor.pk) not in token
    again = token_of(person, first)
    assert again in tokens, "sharing twice is one link"


def test_a_new_link_after_an_unshare_is_another_one_and_the_old_one_is_dead() -> None:
    person, stranger = Person(), Person(agreed=False)
    battle = person.voted()
    old = token_of(person, battle)
    assert stranger.get(f"/s/{old}/").status_code == 200
    assert person.post(url(battle, "unshare/")).status_code == 303
    assert stranger.get(f"/s/{old}/").status_code == 404
    new = token_of(person, battle)
    assert (
        new != old and stranger.get(f"/s/{new}/").status_code == 200 and stranger.get(f"/s/{old}/").status_code == 404
    )


@pytest.mark.parametrize("state", ["streaming", "ready", "failed", "void"])
def test_without_a_vote_there_is_no_link_and_no_name(state: str) -> None:
    person = Person()
    battle = {
        "streaming": lambda: factories.started(person.visitor).battle,
        "ready": person.ready,
        "failed": lambda: person.ready(a=factories.outcome(error="timeout")),
        "void": person.ready,
    }[state]()
    if state == "void":
        Battle.objects.filter(pk=battle.pk).update(state="void", void_reason="abandoned")
    response = person.post(url(battle, "share/"))
    assert response.status_code == 409
    for contestant in (battle.revision_a.contestant, battle.revision_b.contestant):
        assert contestant.name not in response.content.decode()
    with pytest.raises(Refused):
        battles.share(battle)
    battle.refresh_from_db()
    assert battle.share_token is None


def test_only_the_owner_shares_and_takes_back() -> None:
    person, other = Person(), Person()
    battle = person.voted()
    assert other.post(url(battle, "share/")).status_code == 404
    token = token_of(person, battle)
    assert other.post(url(battle, "unshare/")).status_code == 404
    assert other.get(f"/s/{token}/").status_code == 200


def test_search_engines_and_caches_and_other_sites_learn_nothing() -> None:
    person = Person()
    token = token_of(person, person.voted())
    page = Person(agreed=False).get(f"/s/{token}/")
    html = page.content.decode()
    assert page["X-Robots-Tag"] == "noindex, nofollow" and '<meta name="robots" content="noindex, nofollow">' in html
    assert "no-store" in page["Cache-Control"] and page["Referrer-Policy"] == "same-origin"
    assert token not in html


def test_the_page_says_who_answered_and_not_who_asked() -> None:
    person = Person()
    battle = person.voted("b")
    page = Person(agreed=False).get(f"/s/{token_of(person, battle)}/").content.decode()
    for contestant in (battle.revision_a.contestant, battle.revision_b.contestant):
        assert contestant.name in page
    assert str(person.visitor.pk) not in page and str(battle.pk) not in page and "csrfmiddlewaretoken" not in page


OF_A_BATTLE = "/s/9d1343dd-de7b-4734-9aaf-c5b271bcd610/"


@pytest.mark.parametrize("path", [f"/s/{'A' * 43}/", "/s/x/", OF_A_BATTLE, f"/s/{'A' * 44}/", "/s//", "/s/%00/"])
def test_wrong_links_are_404(path: str) -> None:
    Person().voted()
    assert Person(agreed=False).get(path).status_code == 404


def test_a_deleted_battle_cannot_be_shared_again() -> None:
    from arena import erasure

    person = Person()
    battle = person.voted()
    token = token_of(person, battle)
    erasure.erase_battle(battle)
    assert Person(agreed=False).get(f"/s/{token}/").status_code == 404
    with pytest.raises(Refused):
        battles.share(battle)
