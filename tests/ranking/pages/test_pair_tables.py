"""Tables of pairs are read when a page needs them, and kept in few bytes."""

import pytest
from django.http import Http404

from ranking.models import BoardSnapshot
from ranking.pages import pair_tables, published
from tests.ranking import publishing

pytestmark = pytest.mark.django_db


def test_a_board_carries_no_tables_until_it_is_asked() -> None:
    publishing.publish((30, 10), (20, 5))
    pair_tables.of.cache_clear()
    board = published.current()
    assert board and not board.figures.pairs and not board.figures.models
    stored = BoardSnapshot.objects.get().board["pairs"]
    assert pair_tables.as_json(board.pairs) == stored
    first, second, third = board.rows
    assert board.battles(first, second) == stored["battles"][0][1]
    assert board.win_rate(second, first) == stored["points"][1][0] / stored["battles"][1][0]
    assert pair_tables.of.cache_info().currsize == 1 and third.place == 2


def test_tables_are_flat_numbers_and_few_are_kept() -> None:
    publishing.publish((30, 10))
    tables = pair_tables.of(BoardSnapshot.objects.get().pk)
    assert {row.typecode for name in ("battles", "ties", "both_bad") for row in tables[name]} == {"q"}
    assert {row.typecode for row in tables["points"]} == {"d"}
    assert pair_tables.of.cache_info().maxsize == pair_tables.KEPT


def test_a_board_that_was_removed_meanwhile_is_not_found() -> None:
    publishing.publish((30, 10))
    board = published.current()
    BoardSnapshot.objects.all().delete()
    pair_tables.of.cache_clear()
    assert board is not None
    with pytest.raises(Http404, match="removed"):
        board.battles(board.rows[0], board.rows[1])
