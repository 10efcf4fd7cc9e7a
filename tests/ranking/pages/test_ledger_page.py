"""The sampling ledger as people see it: shares that add up, codenames kept, and the same figures in the file."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client

from arena import clock
from arena.models import Battle, Contestant
from ranking.models import BoardSnapshot
from ranking.pages import ledger_page, published
from tests.ranking import rows
from tests.ranking.publishing import SECRET, hide, publish, text

pytestmark = pytest.mark.django_db


def drawn(a: Contestant, b: Contestant, p: float = 0.5) -> None:
    battle = rows.vote(a, b, "a").battle
    Battle.objects.filter(pk=battle.pk).update(created_at=clock.now() - timedelta(hours=1), probability=p, sampler="s1")


def told() -> ledger_page.Ledger:
    board = published.current()
    shown = ledger_page.ledger(board) if board else None
    assert shown
    return shown


@pytest.fixture
def models() -> list[Contestant]:
    """A model of Acme is in all three battles, one of Orbit in two, a second one of Acme in one."""
    made = rows.contestants(3)
    for one, organisation in zip(made, ("Acme", "Orbit", "Acme"), strict=True):
        Contestant.objects.filter(pk=one.pk).update(organisation=organisation)
    for other, p in ((made[1], 0.5), (made[1], 0.25), (made[2], 0.1)):
        drawn(made[0], other, p)
    publish((12, 9), (9, 12), models=made)
    return made


def test_shares_are_of_places_and_add_up(models: list[Contestant]) -> None:
    shown = told()
    assert [(line.name, line.battles) for line in shown.models] == [
        (models[0].name, 3),
        (models[1].name, 2),
        (models[2].name, 1),
    ]
    assert sum(line.share for line in shown.models) == pytest.approx(1)
    assert [(line.name, line.models, round(line.share, 4)) for line in shown.organisations] == [
        ("Acme", 2, 0.6667),
        ("Orbit", 1, 0.3333),
    ]
    assert (shown.battles, shown.watched, shown.least_p, shown.most_p) == (3, 0, 0.1, 0.5)
    assert shown.effective == pytest.approx(16**2 / (4 + 16 + 100))
    assert [(one.name, one.battles) for one in shown.samplers] == [("s1", 3)]


def test_what_was_not_watched_is_compared_with_nothing(models: list[Contestant]) -> None:
    assert {(line.realised, line.intended, line.away) for line in told().models} == {(None, None, None)}


def test_drawn_and_intended_are_compared_where_they_were_watched(client: Client, models: list[Contestant]) -> None:
    snapshot = BoardSnapshot.objects.published().get()
    ledger = snapshot.board["sampling"]
    ledger["total"]["watched"] = 100
    for one, (watched, intended) in zip(models, ((90, 60.0), (60, 61.0), (50, 79.0)), strict=True):
        ledger["models"][str(one.pk)] |= {"watched": watched, "intended": intended, "variance": 25.0}
    snapshot.save(update_fields=["board"])
    published.board_as.cache_clear()
    lines = {line.name: line for line in told().models}
    first, second = lines[models[0].name], lines[models[1].name]
    assert (first.realised, first.intended, first.away, first.far) == (0.45, 0.3, 6.0, True)
    assert second.away == pytest.approx(-0.2) and not second.far
    acme = told().organisations[0]
    assert (acme.realised, acme.intended) == (pytest.approx(0.7), pytest.approx(0.695))
    page = text(client, "/leaderboard/sampling")
    assert "+6.0 !" in page and "−0.2" in page and page.count(" !<") == 2  # the third is away by -5.8


def test_an_organisation_is_not_shown_with_its_hidden_models(client: Client, models: list[Contestant]) -> None:
    hide(models[1])
    hidden = next(line for line in told().models if line.hidden)
    assert (hidden.name, hidden.slug, hidden.organisation) == ("Olive Branch", "olive-branch", "")
    assert [(line.name, line.hidden) for line in told().organisations] == [("Acme", False), ("", True)]
    for address in ("/leaderboard/sampling", "/leaderboard/sampling.csv", "/leaderboard/plots"):
        page = text(client, address)
        assert all(word not in page for word in (*SECRET.values(), str(models[1].pk))), address
    assert "under a codename" in text(client, "/leaderboard/sampling")


def test_the_file_holds_the_same(client: Client, models: list[Contestant]) -> None:
    Contestant.objects.filter(pk=models[0].pk).update(name="=SUM(A1)")
    answer = client.get("/leaderboard/sampling.csv")
    assert 'href="/leaderboard/sampling.csv' in text(client, "/leaderboard/sampling")
    assert 'filename="agon-sampling-live-' in answer["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [line["battles"] for line in lines] == ["3", "2", "1"] and lines[0]["name"] == "'=SUM(A1)"
    assert float(lines[0]["share"]) == 0.5 and lines[0]["intended"] == ""


def test_imports_and_empty_sites_have_no_ledger(client: Client) -> None:
    assert "No board yet" in text(client, "/leaderboard/sampling")
    assert client.get("/leaderboard/sampling.csv").status_code == 404
    publish((12, 9), origin="import:x")
    page = text(client, "/leaderboard/sampling?origin=import:x")
    assert "Nobody was drawn here" in page and "sampling.csv" not in page, "no button for a file that is not there"
    assert client.get("/leaderboard/sampling.csv?origin=import:x").status_code == 404


def test_nothing_moves_between_publications(client: Client, models: list[Contestant]) -> None:
    before = text(client, "/leaderboard/sampling.csv")
    drawn(models[1], models[2])
    assert text(client, "/leaderboard/sampling.csv") == before
