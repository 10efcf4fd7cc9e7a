"""Two models with a board."""

import pytest

from arena.models import Contestant
from ranking.fits import fitting
from tests.ranking import rows


@pytest.fixture
def pair() -> list[Contestant]:
    """Six imported votes, which are on the board and in no log; some files here have a pair of their own."""
    pair = rows.contestants(2)
    rows.ballot(*pair, wins=3, losses=3)
    fitting.refit()
    return pair
