"""Plots: what they show is in their table too, sizes are bounded, names are escaped, and what has no data is not drawn."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.fits.history import Point
from ranking.pages.plots import axes, distribution, history, intervals, matrices, price
from ranking.pages.plots.axes import LogScale, Plot, Scale
from ranking.pages.published import Board, Row
from tests.ranking.pages.made_boards import board, ladder, row

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
EVIL = '"><script>alert(1)</script>'


def over_time(rows: list[Row], *ratings: list[float | None], step: timedelta = timedelta(days=1)) -> dict:
    """Publications a day apart; None: the model had no rating in it."""
    return {
        one.key: [
            Point(BEGIN + step * k, value, None, None, None if value is None else 1, 10) for k, value in enumerate(mine)
        ]
        for one, mine in zip(rows, ratings, strict=True)
    }


def full(size: int) -> list[Row]:
    spread = [-40.0 + 4 * k for k in range(21)]
    return [
        replace(one, quantiles=[(one.rating or 0) + x for x in spread], price_in=1.0 + one.place, price_out=2.0)
        for one in ladder(size)
    ]


def of_history(shown: Board) -> Plot | None:
    rows = list(shown.rows)
    return history.plot(rows, over_time(rows, *[[990.0 + one.place, 1000.0] for one in rows]))


MAKERS: dict[str, Callable[[Board], Plot | None]] = {
    "intervals": intervals.plot,
    "distribution": distribution.plot,
    "rates": matrices.win_rates,
    "met": matrices.battles,
    "price": price.plot,
    "history": of_history,
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_plot_is_an_image_with_a_name_and_the_same_figures_in_a_table(name: str) -> None:
    plot = MAKERS[name](board(*full(4)))
    assert plot and plot.key == name and plot.title and plot.caption and plot.left_out == 0
    root = ElementTree.fromstring(plot.svg)
    assert root.get("role") == "img" and "4 models" in (root.get("aria-label") or "")
    assert all(node.get("style") is None for node in root.iter())
    assert all(len(line) == len(plot.columns) for line in plot.lines)
    table = " ".join(str(cell) for line in (plot.columns, *plot.lines) for cell in line)
    assert all(f"Model {i}" in table and f"Model {i}" in plot.svg for i in range(4))


@pytest.mark.parametrize("name", MAKERS)
def test_names_cannot_leave_their_place(name: str) -> None:
    plot = MAKERS[name](board(*(replace(one, name=EVIL) for one in full(3))))
    assert plot and "<script>" not in plot.svg
    ElementTree.fromstring(plot.svg)


@pytest.mark.parametrize("name", MAKERS)
def test_sizes_are_bounded_and_what_is_left_out_is_counted(name: str) -> None:
    most = {"history": history.MOST, "price": price.MOST, "rates": matrices.MOST, "met": matrices.MOST}
    shown = most.get(name, axes.MOST_ROWS)
    plot = MAKERS[name](board(*full(120)))
    assert plot and plot.left_out == 120 - shown and len(plot.svg) < 110_000
    if name != "history":
        assert len(plot.lines) == shown


@pytest.mark.parametrize("name", MAKERS)
def test_one_model_alone_and_nobody_make_no_plot(name: str) -> None:
    assert MAKERS[name](board()) is None
    if name != "history":  # a single model has a past
        assert MAKERS[name](board(*full(1), row(1))) is None


def test_plots_of_what_a_board_does_not_have_are_left_out() -> None:
    rows = ladder(3)
    assert distribution.plot(board(*rows)) is None and price.plot(board(*rows)) is None
    plain = intervals.plot(board(*(replace(one, joint_lower=None, joint_upper=None) for one in rows)))
    joint = intervals.plot(board(*rows))
    assert plain and joint and 'class="joint"' not in plain.svg and 'class="joint"' in joint.svg
    assert (len(plain.columns), len(joint.columns)) == (4, 6)


def test_the_pareto_front_is_what_nobody_beats_in_both() -> None:
    prices = [(8.0, 1100.0), (2.0, 1050.0), (4.0, 1040.0), (1.0, 900.0), (1.0, 950.0), (0.0, 800.0)]
    rows = [row(i, rating, price_in=cost, price_out=cost) for i, (cost, rating) in enumerate(prices)]
    assert [one.place for one in price.front(rows)] == [5, 4, 1, 0]
    plot = price.plot(board(*rows))
    assert plot and {line[0]: line[-1] for line in plot.lines} == {
        **{f"Model {i}": "yes" for i in (0, 1, 4, 5)},
        **{f"Model {i}": "no" for i in (2, 3)},
    }
    assert plot.svg.count('class="dot"') == 2 and plot.svg.count('class="point"') == 3  # the free one has no place


def test_a_line_breaks_where_there_was_no_rating_and_retired_models_are_dashed() -> None:
    rows = [row(0, 1010.0), row(1, 990.0, retired=True)]
    series = over_time(rows, [1000.0, 1001.0, None, 1003.0, 1004.0, None], [990.0, 991.0, 992.0, 993.0, 994.0, 995.0])
    times = [BEGIN + timedelta(days=k) for k in range(6)]
    assert [len(run) for run in history.segments(series["0"], times)] == [2, 2]
    plot = history.plot(rows, series)
    assert plot and plot.svg.count('class="series s0"') == 2 and plot.svg.count('class="series s1 retired"') == 1
    assert [line[1] for line in plot.lines] == [None, 1004, 1003, None, 1001, 1000]
    absent = {"0": series["0"][:2] + series["0"][4:], "1": series["1"]}  # left out of two boards altogether
    assert [len(run) for run in history.segments(absent["0"], times)] == [2, 1]


def test_one_publication_is_no_history() -> None:
    rows = [row(0, 1010.0)]
    assert history.plot(rows, over_time(rows, [1000.0])) is None
    assert history.plot(rows, {}) is None


def test_a_long_history_has_a_short_table_with_the_newest_first() -> None:
    rows = [row(0, 1010.0)]
    plot = history.plot(rows, over_time(rows, [1000.0 + k for k in range(200)]))
    assert plot and len(plot.lines) == history.TABLE_LINES and plot.lines[0][1] == 1199


def test_scales_have_room_and_round_ticks() -> None:
    scale = Scale(812.0, 1177.0, 400)
    assert scale(812.0) == 0 and scale(1177.0) == 400
    assert scale.ticks() == [850, 900, 950, 1000, 1050, 1100, 1150]
    assert LogScale(0.08, 30.0, 100).ticks() == [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    assert LogScale(1e-3, 1e4, 100).ticks()[:3] == [0.001, 0.01, 0.1]
    for wrong in ([], [0.0, 1.0]):
        with pytest.raises(ValueError, match="positive"):
            LogScale.around(wrong, 100)


@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=9))
def test_a_logarithmic_axis_holds_its_values_in_their_order(values: list[float]) -> None:
    scale = LogScale.around(values, 500)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places) and places[0] > 0 and places[-1] < 500


def test_a_matrix_says_in_words_what_its_cells_say() -> None:
    shown = board(*ladder(3), met=12345)
    plot = matrices.battles(shown)
    assert plot and plot.lines[0][1:] == [None, "12345", "12345"] and ">12k<" in plot.svg
    rates = matrices.win_rates(shown)
    assert rates and rates.lines[0][2] == "50 % (12345)"
    assert 'class="h5"' in rates.svg and 'class="c10"' in plot.svg


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("claude-instant-v1.2-beta", "claude-instant-v1.2-beta"),
        ("claude-instant-v1.2-beta2", "claude-instant-v1.2-be…"),
        ("GPT-NeoXT-Chat-Base (20B)", "GPT-NeoXT-Chat-Base…"),
        ("文心一言大语言模型第四版本", "文心一言大语言模型第四…"),
    ],
)
def test_names_beside_a_plot_are_cut_by_what_their_signs_take(name: str, shown: str) -> None:
    assert axes.short(name) == shown
