"""Style-controlled boards of votes that only partly have style counts."""

import pytest

from ranking.fits import fitting
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, BoardTrouble, VoteStyle
from tests.ranking import rows
from tests.ranking.fits.ballots import ballots, dress, newest

pytestmark = pytest.mark.django_db
STYLED = Key("live", controlled=True)


@pytest.fixture(autouse=True)
def few(settings: object) -> None:
    settings.STYLE_VOTES = 24  # type: ignore[attr-defined]


def test_a_model_without_a_styled_vote_is_not_on_the_styled_board_and_does_not_break_it() -> None:
    first, second, newcomer = rows.contestants(3)
    dress(ballots([first, second], 24))
    ballots([first, newcomer], 6)
    fitting.refit()
    board = newest(STYLED).board
    assert {one["model"] for one in board["models"]} == {str(first.pk), str(second.pk)}
    assert len(board["pairs"]["battles"]) == 2 and not BoardTrouble.objects.exists()


def test_a_styled_board_that_loses_its_styles_is_empty_and_does_not_fail() -> None:
    pair = rows.contestants(2)
    dress(ballots(pair, 24))
    fitting.refit()
    VoteStyle.objects.all().delete()
    ballots(pair, 1)
    fitting.refit()
    assert (newest(STYLED).board["state"], newest(STYLED).board["models"]) == ("empty", [])
    assert BoardSnapshot.objects.filter(controlled=True).count() == 2 and not BoardTrouble.objects.exists()
