"""The leaderboard and the methodology: every state in words, queries bounded, demo and live never mixed."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.http import QueryDict
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from arena import clock
from arena.models import Contestant, SiteConfig, contestants
from ranking.estimators.bootstrap import multinomial, percentiles
from ranking.estimators.bradley_terry import fit, to_rating
from ranking.fits.boards import Asked
from ranking.models import BoardSnapshot
from ranking.pages import published, rendered
from ranking.pages.listing import Listing
from tests.ranking import rows
from tests.ranking.estimators.simulated import pairs_of
from tests.ranking.publishing import publish, refit_and_publish, text


@pytest.mark.django_db
def test_an_empty_board_says_so_and_invites(client: Client) -> None:
    page = text(client, "/leaderboard")
    assert "No votes yet" in page and 'href="/"' in page and "<table" not in page
    assert client.get("/leaderboard.json").status_code == 404


@pytest.mark.django_db
def test_one_sided_votes_are_called_too_few_and_shown_as_counts(client: Client) -> None:
    publish((3, 0))
    page = text(client, "/leaderboard")
    assert "Too few votes for ratings" in page and "no rating yet" in page and "the ranked models" not in page
    assert "100 %" in page and 'class="interval"' not in page


@pytest.mark.django_db
def test_a_board_shows_rank_interval_votes_and_who_made_it(client: Client) -> None:
    models = publish((40, 10), (30, 20))
    Contestant.objects.filter(pk=models[0].pk).update(licence="MIT", organisation="Acme")
    page = text(client, "/leaderboard")
    assert "104 votes" in page and page.count('class="interval"') == 3
    assert "Acme · MIT" in page and f'href="/models/{models[0].slug}/"' in page
    assert "synthetic" not in page.lower()
    assert "{%" not in page


@pytest.mark.django_db
def test_unbeaten_winless_and_disconnected_models_are_labelled(client: Client) -> None:
    models = publish((20, 10))
    other = rows.contestants(4)
    rows.ballot(other[0], models[0], wins=2)
    rows.ballot(models[1], other[1], wins=2)
    rows.ballot(other[2], other[3], wins=1, losses=0)
    refit_and_publish()
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
    refit_and_publish()
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
    assert "Synthetic demo board" not in page and "1 vote" in page and "52 votes" not in page


@pytest.mark.django_db
@pytest.mark.parametrize(("source", "votes"), [("auto", 1), ("live", 1), ("demo", 52)])
def test_operators_choose_the_board(source: str, votes: int) -> None:
    models = publish((40, 10), origin="demo")
    publish((1, 0), models=models)
    SiteConfig.objects.update_or_create(pk=1, defaults={"board_source": source})
    board = published.current()
    assert board and board.votes == votes


@pytest.mark.django_db
def test_a_live_board_whose_votes_were_all_voided_lets_the_demo_back_in(settings: object) -> None:
    settings.LOG_DELAY_S = settings.LOG_BATCH_S = 0
    models = publish((40, 10), origin="demo")
    cast = rows.cast(models[0], models[1], "a")
    refit_and_publish()
    rows.follow(cast, "void")
    refit_and_publish()
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
def test_the_csv_is_the_board_and_no_spreadsheet_runs_it(client: Client) -> None:
    models = publish((40, 10))
    Contestant.objects.filter(pk=models[0].pk).update(name="=SUM(A1)")
    answer = client.get("/leaderboard.csv")
    assert answer["Content-Disposition"].startswith('attachment; filename="agon-board-live-')
    first, second = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (first["name"], first["rank"], first["votes"], second["losses"]) == ("'=SUM(A1)", "1", "52", "40")
    best = published.current().rows[0]
    assert float(first["rating"]) == best.rating and float(first["battle_joint_upper"]) == best.battle.joint_upper


@pytest.mark.django_db
def test_the_json_download_is_enough_to_fit_the_board_again(client: Client) -> None:
    import numpy as np

    publish((40, 10), (30, 20), (25, 24))
    shown = json.loads(client.get("/leaderboard.json").content)
    pairs, order = shown["pairs"], np.array(shown["pairs"]["fit_order"])
    points, ties = (np.array(pairs[name], dtype=float)[np.ix_(order, order)] for name in ("points", "ties"))
    counted = pairs_of(points - ties / 2, ties)
    theta = fit(counted).theta
    lower, upper = percentiles(multinomial(counted, theta, shown["seed"]).thetas)
    for figure, value in (("rating", theta), ("lower", lower), ("upper", upper)):
        assert [shown["models"][i][figure] for i in order] == pytest.approx(to_rating(value).tolist(), abs=1e-9)


@pytest.mark.django_db
def test_pages_take_few_queries_however_many_models(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    models = publish(*[(12, 9)] * 11)
    with django_assert_num_queries(
        6
    ):  # the site's switch, the snapshots, the names; the board, its models, the codenames
        client.get("/leaderboard")
    with django_assert_num_queries(3):  # then only what says that nothing has changed
        client.get("/leaderboard")
    with django_assert_num_queries(4):  # and the tables of pairs, once
        client.get("/leaderboard.json")
    with django_assert_num_queries(3):
        client.get("/leaderboard.json")
    with django_assert_num_queries(8):  # and the contestant, its revision, its adapters, its other boards and its past
        client.get(f"/models/{models[3].slug}/")
    with django_assert_num_queries(4):  # and the ratings over time, once
        client.get("/leaderboard/plots")
    with django_assert_num_queries(3):
        client.get("/leaderboard/plots")
    for _ in range(2):
        with django_assert_num_queries(3):
            client.get("/leaderboard/sampling")
    with django_assert_num_queries(0):
        client.get("/methodology")


@pytest.mark.django_db
def test_many_models_stay_a_light_page(client: Client) -> None:
    publish(*[(12, 9)] * 39)
    assert len(client.get("/leaderboard").content) < 90_000
    page = client.get("/leaderboard/plots").content
    assert len(page) < 250_000 and page.count(b'class="h') > 0 and b"20 more models are not drawn" in page


@pytest.mark.django_db
def test_the_rendered_board_is_kept_as_long_as_nothing_of_it_changes(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = publish((40, 10), (30, 20))
    first = text(client, "/leaderboard")
    made: list[str] = []
    render = rendered.render_to_string
    monkeypatch.setattr(rendered, "render_to_string", lambda *given: made.append("page") or render(*given))
    with django_assert_max_num_queries(3):
        assert text(client, "/leaderboard") == first
    assert made == []
    Contestant.objects.filter(pk=models[0].pk).update(organisation="Renamed Ltd")
    assert "Renamed Ltd" in text(client, "/leaderboard")
    publish((5, 5), models=models[:2])
    assert "116 votes" in text(client, "/leaderboard")
    Contestant.objects.filter(pk=models[0].pk).update(
        visibility="anonymous", codename="Heron", anonymous_until=clock.now().date() + timedelta(days=1)
    )
    hidden = text(client, "/leaderboard")
    assert "Heron" in hidden and models[0].name not in hidden and "Renamed Ltd" not in hidden
    assert len(made) == 3
    later = clock.now() + timedelta(days=2)
    for module in (clock, contestants):
        monkeypatch.setattr(module, "now", lambda: later)
    assert "Renamed Ltd" in text(client, "/leaderboard")


@pytest.mark.django_db
def test_a_browser_that_has_the_board_gets_it_again_only_when_it_has_changed(client: Client) -> None:
    models = publish((40, 10))
    first = client.get("/leaderboard")
    etag = first["ETag"]
    again = client.get("/leaderboard", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    publish((5, 5), models=models)
    changed = client.get("/leaderboard", headers={"If-None-Match": etag})
    assert changed.status_code == 200 and changed["ETag"] != etag
    assert client.get("/leaderboard?sort=votes", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.django_db
def test_what_is_kept_of_a_page_holds_no_tables(client: Client) -> None:
    """Dozens of pages are kept, of boards that may be gone: each holds its HTML and rows, not the pairs of all models."""
    publish(*[(12, 9)] * 11)
    kept = [rendered.figures(Listing.of(QueryDict())), rendered.plots(Asked()), rendered.sampling("")]
    assert all(one and (one.board.figures.pairs, one.board.figures.models) == ({}, []) for one in kept)
    board = published.current()
    assert board and board.pairs["battles"] and board.planning is None  # for operators only
    for cache, most in (
        (rendered._figures, rendered.KEPT),
        (rendered._plots, rendered.KEPT_PLOTS),
        (rendered._sampling, rendered.KEPT_PLOTS),
    ):
        assert cache.cache_info().maxsize == most
