"""The board's pages: every state in words, queries bounded, nothing of a codenamed contestant, demo and live never mixed."""

import csv
import io
import json
from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from arena.models import Contestant, SiteConfig
from inference.models import Adapter
from ranking import fitting, plots, published
from ranking.bootstrap import intervals
from ranking.bradley_terry import fit, to_rating
from ranking.models import BoardSnapshot
from tests.ranking import rows

SECRET = {"name": "Secret Nova 9", "organisation": "Hidden Labs", "licence": "Proprietary-X", "slug": "secret-nova-9"}


def publish(
    *results: tuple[int, int], origin: str = "live", models: list[Contestant] | None = None
) -> list[Contestant]:
    """A published board on which model i beat model i + 1 with these wins and losses."""
    models = models or rows.contestants(len(results) + 1)
    for (winner, loser), (wins, losses) in zip(zip(models, models[1:], strict=False), results, strict=True):
        rows.ballot(winner, loser, wins=wins, losses=losses, ties=2 if losses else 0, origin=origin)
    fitting.refit()
    return models


def hide(contestant: Contestant, until: date | None = None) -> None:
    until = until or date.today() + timedelta(days=30)
    hidden = {**SECRET, "visibility": "anonymous", "codename": "Olive Branch", "anonymous_until": until}
    hidden |= {"description": "Made by Hidden Labs", "link": "https://hidden.example/", "open_weights": True}
    Contestant.objects.filter(pk=contestant.pk).update(**hidden)
    contestant.refresh_from_db()


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content[:300]
    return answer.content.decode()


@pytest.mark.django_db
def test_an_empty_board_says_so_and_invites(client: Client) -> None:
    page = text(client, "/leaderboard")
    assert "No votes yet" in page and 'href="/"' in page and "<table" not in page
    assert client.get("/leaderboard.json").status_code == 404


@pytest.mark.django_db
def test_one_sided_votes_are_called_too_few_and_shown_as_counts(client: Client) -> None:
    publish((3, 0))
    page = text(client, "/leaderboard")
    assert "Too few votes for ratings" in page and "not connected to the ranked models yet" in page
    assert "100 %" in page and 'class="interval"' not in page


@pytest.mark.django_db
def test_a_board_shows_rank_interval_votes_and_who_made_it(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    Contestant.objects.filter(pk=models[0].pk).update(licence="MIT", organisation="Acme")
    page = text(client, "/leaderboard")
    assert "104 votes" in page and page.count('class="interval"') == 3
    assert "Acme · MIT" in page and f'href="/models/{models[0].slug}/"' in page
    assert "synthetic" not in page.lower()
    assert "{%" not in page and 'class="plot-all"' in page and 'class="heat"' in page and 'class="rates"' in page


@pytest.mark.django_db
def test_unbeaten_winless_and_disconnected_models_are_labelled(client: Client) -> None:
    models = publish((20, 10))
    other = rows.contestants(4)
    rows.ballot(other[0], models[0], wins=2)
    rows.ballot(models[1], other[1], wins=2)
    rows.ballot(other[2], other[3], wins=1, losses=0)
    fitting.refit()
    page = text(client, "/leaderboard")
    for words in ("unbeaten so far", "no point so far", "not connected to the ranked models yet", "no finite number"):
        assert words in page
    assert "unbeaten so far" in text(client, f"/models/{other[0].slug}/")


@pytest.mark.django_db
def test_sparse_boards_warn_about_their_bars(client: Client) -> None:
    publish((9, 1))
    assert "of the resamples behind the bars needed help" not in text(client, "/leaderboard")  # two ties connect it
    BoardSnapshot.objects.all().delete()
    models = rows.contestants(2)
    rows.ballot(models[0], models[1], wins=9, losses=1, origin="demo")
    fitting.refit()
    SiteConfig.objects.update_or_create(pk=1, defaults={"board_source": "demo"})
    assert "of the resamples behind the bars needed help" in text(client, "/leaderboard")


@pytest.mark.django_db
def test_the_demo_board_is_bannered_and_gives_way_to_the_first_live_votes(client: Client) -> None:
    models = publish((40, 10), origin="demo")
    page = text(client, "/leaderboard")
    assert "Synthetic demo board" in page and "52 votes" in page and "Remove" not in page
    assert "Synthetic demo votes" in text(client, f"/models/{models[0].slug}/")
    publish((1, 0), models=models)
    page = text(client, "/leaderboard")
    assert "Synthetic" not in page and "1 vote" in page and "52" not in page


@pytest.mark.django_db
@pytest.mark.parametrize(("source", "votes"), [("auto", 1), ("live", 1), ("demo", 52)])
def test_operators_choose_the_board(source: str, votes: int) -> None:
    models = publish((40, 10), origin="demo")
    publish((1, 0), models=models)
    SiteConfig.objects.update_or_create(pk=1, defaults={"board_source": source})
    board = published.current()
    assert board and board.votes == votes


@pytest.mark.django_db
def test_a_live_board_whose_votes_were_all_voided_lets_the_demo_back_in() -> None:
    models = publish((40, 10), origin="demo")
    cast = rows.cast(models[0], models[1], "a")
    fitting.refit()
    rows.follow(cast, "void")
    fitting.refit()
    board = published.current()
    assert board and board.demo


@pytest.mark.django_db
def test_search_filter_and_sort_live_in_the_address(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    for model, name, org in zip(models, ("Zeta", "Alpha", "Mid"), ("Acme", "Orbit", "Acme"), strict=True):
        Contestant.objects.filter(pk=model.pk).update(name=name, organisation=org, open_weights=name == "Mid")

    def names(query: str) -> list[str]:
        return [row.name for row, _bar in client.get(f"/leaderboard?{query}").context.get("rows", [])]

    assert names("") == names("sort=rank") == names("sort=nonsense&order=up") == ["Zeta", "Alpha", "Mid"]
    assert names("q=aCmE") == ["Zeta", "Mid"] and names("q=alp") == ["Alpha"] and names("open=1") == ["Mid"]
    assert names("sort=model") == ["Alpha", "Mid", "Zeta"] and names("sort=model&order=desc") == [
        "Zeta",
        "Mid",
        "Alpha",
    ]
    assert names("sort=votes")[0] == "Alpha" and names("sort=rating&order=asc") == ["Mid", "Alpha", "Zeta"]
    assert "No model matches" in text(client, "/leaderboard?q=nothing")
    page = text(client, "/leaderboard?q=acme&sort=votes")
    assert 'aria-sort="descending"' in page and "q=acme&amp;sort=votes&amp;order=asc" in page


@pytest.mark.django_db
def test_what_people_type_is_escaped(client: Client) -> None:
    publish((4, 2))
    page = text(client, '/leaderboard?q="><script>alert(1)</script>')
    assert "<script>alert" not in page and "&lt;script&gt;" in page


@pytest.mark.django_db
def test_nothing_of_a_codenamed_contestant_reaches_a_page_or_a_file(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    hide(models[1])
    for address in (
        *("/leaderboard", "/leaderboard.csv", "/leaderboard.json", "/leaderboard?sort=model", "/leaderboard?open=1"),
        *(f"/models/{models[0].slug}/", "/models/olive-branch/"),
    ):
        page = text(client, address)
        for word in (*SECRET.values(), "hidden.example", str(models[1].pk), models[1].revisions.get().model + '"'):
            assert word not in page, (word, address)
    assert "codename Olive Branch" in text(client, "/leaderboard")
    assert text(client, f"/models/{SECRET['slug']}/", 404)
    for question in ("Hidden", "Nova", "Proprietary"):
        assert "No model matches" in text(client, f"/leaderboard?q={question}")
    assert [row.name for row, _bar in client.get("/leaderboard?open=1").context["rows"]] == []


@pytest.mark.django_db
def test_the_codenames_address_leads_to_the_model_once_it_is_revealed(client: Client) -> None:
    models = publish((40, 10))
    hide(models[0], until=date.today())
    answer = client.get("/models/olive-branch/")
    assert (answer.status_code, answer["Location"]) == (301, f"/models/{SECRET['slug']}/")
    assert "Hidden Labs" in text(client, f"/models/{SECRET['slug']}/")


@pytest.mark.django_db
def test_a_codename_never_takes_over_the_page_of_another_model(client: Client) -> None:
    models = publish((40, 10))
    Contestant.objects.filter(pk=models[1].pk).update(slug="olive-branch", name="The real Olive")
    hide(models[0])
    assert "The real Olive" in text(client, "/models/olive-branch/")


@pytest.mark.django_db
def test_a_model_page_shows_card_standing_and_opponents(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    base, tuned = models[0], models[1]
    adapter = Adapter.objects.create(name="pirate", base_model="m")
    revision = tuned.revisions.get()
    tuned.revisions.all().delete()
    tuned.revisions.create(number=2, model=base.revisions.get().model, adapter=adapter)
    page = text(client, f"/models/{base.slug}/")
    assert (
        "{%" not in page
        and "Rank 1" in page
        and "52 votes" in page
        and "40 won, 10 lost, 2 tied; win rate 79 %" in page
    )
    assert f'href="/models/{tuned.slug}/"' in page and "Adapters of it" in page
    assert f"pirate, of {base.revisions.get().model}" in text(client, f"/models/{tuned.slug}/")
    assert revision.pk
    hide(tuned)
    assert "Adapters of it" not in text(client, f"/models/{base.slug}/")


@pytest.mark.django_db
def test_states_of_a_model_page(client: Client) -> None:
    (newcomer,) = rows.contestants(1)
    assert "Not on the board yet" in text(client, f"/models/{newcomer.slug}/")
    Contestant.objects.filter(pk=newcomer.pk).update(visibility="retired")
    assert "Retired" in text(client, f"/models/{newcomer.slug}/")
    Contestant.objects.filter(pk=newcomer.pk).update(imported=True)
    assert text(client, f"/models/{newcomer.slug}/", 404)
    assert text(client, "/models/nobody/", 404)


@pytest.mark.django_db
def test_the_csv_is_the_board_and_no_spreadsheet_runs_it(client: Client) -> None:
    models = publish((40, 10))
    Contestant.objects.filter(pk=models[0].pk).update(name="=SUM(A1)")
    answer = client.get("/leaderboard.csv")
    assert answer["Content-Disposition"].startswith('attachment; filename="agon-board-live-')
    first, second = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (first["name"], first["rank"], first["votes"], second["losses"]) == ("'=SUM(A1)", "1", "52", "40")
    assert float(first["rating"]) == published.current().rows[0].rating


@pytest.mark.django_db
def test_the_json_download_is_enough_to_fit_the_board_again(client: Client) -> None:
    import numpy as np

    publish((40, 10), (30, 20), (25, 24))
    shown = json.loads(client.get("/leaderboard.json").content)
    pairs, order = shown["pairs"], np.array(shown["pairs"]["fit_order"])
    points, ties = (np.array(pairs[name], dtype=float)[np.ix_(order, order)] for name in ("points", "ties"))
    theta = fit(points)
    ends = intervals(points - ties / 2, ties, theta, shown["seed"])
    for figure, value in (("rating", theta), ("lower", ends.lower), ("upper", ends.upper)):
        assert [shown["models"][i][figure] for i in order] == pytest.approx(to_rating(value).tolist(), abs=1e-9)


@pytest.mark.django_db
def test_pages_take_few_queries_however_many_models(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    models = publish(*[(12, 9)] * 11)
    with django_assert_num_queries(3):  # the site's switch, the snapshots, the names
        client.get("/leaderboard")
    with django_assert_num_queries(3):
        client.get("/leaderboard.json")
    with django_assert_num_queries(6):  # and the contestant, its revision, its adapters
        client.get(f"/models/{models[3].slug}/")
    with django_assert_num_queries(0):
        client.get("/methodology")


@pytest.mark.django_db
def test_many_models_stay_a_light_page(client: Client) -> None:
    publish(*[(12, 9)] * 39)
    page = client.get("/leaderboard").content
    assert len(page) < 120_000
    assert page.count(b'class="h') > 0 and b"The first 20 models" in page


@pytest.mark.django_db
def test_wiping_takes_a_permitted_member_of_staff_and_a_confirmed_post(client: Client) -> None:
    publish((40, 10), origin="demo")
    assert client.post("/leaderboard/wipe-demo/").status_code == 403
    plain = User.objects.create_user("plain", password="x", is_staff=True)
    client.force_login(plain)
    assert client.post("/leaderboard/wipe-demo/").status_code == 403
    assert "Remove for good" not in text(client, "/leaderboard")
    client.force_login(User.objects.create_superuser("root", password="x"))
    assert client.get("/leaderboard/wipe-demo/").status_code == 405
    assert "Remove for good" in text(client, "/leaderboard")
    answer = client.post("/leaderboard/wipe-demo/")
    assert (answer.status_code, answer["Location"]) == (303, "/leaderboard")
    assert not BoardSnapshot.objects.exists()


@pytest.mark.django_db
def test_wiping_needs_a_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root", password="x"))
    assert client.post("/leaderboard/wipe-demo/").status_code == 403


@pytest.mark.django_db
def test_methodology_names_every_file_that_computes_a_number(client: Client) -> None:
    import re
    from pathlib import Path

    page = text(client, "/methodology")
    paths = re.findall(r"<code>([a-z_/]+(?:\.py|/))</code>", page)
    assert len(set(paths)) >= 8
    assert all((Path(__file__).parents[2] / path).exists() for path in paths)
    assert "400 / ln 10" in page and "1000" in page and "{%" not in page


@pytest.mark.django_db
def test_the_admin_lists_snapshots_and_queues_a_fit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    publish((4, 2), origin="demo")
    queued: list[bool] = []
    monkeypatch.setattr("ranking.tasks.refit.delay", lambda: queued.append(True))
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = text(client, "/admin/ranking/boardsnapshot/")
    assert "Refit now" in page and "Wipe the demo data" in page
    assert text(client, f"/admin/ranking/boardsnapshot/{BoardSnapshot.objects.get().pk}/change/")
    assert text(client, "/admin/ranking/paircount/")
    assert client.get("/admin/ranking/boardsnapshot/refit/").status_code == 302 and not queued
    assert client.post("/admin/ranking/boardsnapshot/refit/").status_code == 302 and queued == [True]
    client.post("/admin/ranking/boardsnapshot/wipe-demo/")
    assert not BoardSnapshot.objects.exists()


def test_the_scale_of_a_plot_has_room_and_round_ticks() -> None:
    scale = plots.Scale(812.0, 1177.0, 400)
    assert scale(812.0) == 0 and scale(1177.0) == 400
    assert scale.ticks() == [850, 900, 950, 1000, 1050, 1100, 1150]
