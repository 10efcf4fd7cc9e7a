"""What the page says of a board of nothing but ties, and of one whose votes are all by one person."""

import pytest
from django.test import Client

from tests.ranking import rows
from tests.ranking.fits.ballots import ballots
from tests.ranking.publishing import refit_and_publish, text


@pytest.mark.django_db
@pytest.mark.parametrize("votes", [1, 25])
def test_nothing_but_ties_is_a_board_on_which_nobody_leads(client: Client, votes: int) -> None:
    rows.ballot(*rows.contestants(2), wins=0, ties=votes)
    refit_and_publish()
    page = text(client, "/leaderboard")
    assert "Nobody leads: all ratings are equal." in page and "as if a coin had decided" in page
    assert "has been ahead" not in page and "±0" not in page and ("There are few votes" in page) is (votes == 1)
    assert "drawn from the spread" in page and "out of those at hand" not in page


@pytest.mark.django_db
@pytest.mark.parametrize(("judges", "words"), [(1, "All votes are by one person"), (3, "too few to speak for others")])
def test_a_board_of_few_people_is_no_word_of_others(client: Client, judges: int, words: str) -> None:
    ballots(rows.contestants(2), 60, judge=lambda n: f"{n * n % judges:032}")
    refit_and_publish()
    page = text(client, "/leaderboard")
    assert words in page and "people voted" in page or judges == 1
    told = client.get("/leaderboard.json").json()
    assert told["method"]["level"] == ("battle" if judges == 1 else "judge")
    assert all((model["effective_judges"] is None) is (judges == 1) for model in told["models"])
