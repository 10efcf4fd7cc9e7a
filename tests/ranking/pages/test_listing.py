"""Searching and sorting of the board, and what its rows say: rows made by hand, no database."""

import re

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string

from ranking.pages import downloads
from ranking.pages.listing import Listing, columns
from tests.ranking.pages.made_boards import board, row

ROWS = (
    row(0, 1020, licence="MIT", price_in=3.0, price_out=9.0, failure_rate=0.2, tokens_per_s=[10.0, 5.0], rank_lower=1),
    row(1, 1000, licence="Apache", price_in=1.0, price_out=2.0, failure_rate=0.1, tokens_per_s=[40.0, 9.0]),
    row(2, 980, licence="", first_token_s=[0.4, 2.0], rank_lower=2),
    row(3, first_token_s=[0.9, 1.0]),
)


def found(query: str) -> list[int]:
    return [one.place for one in Listing.of(QueryDict(query)).rows(board(*ROWS))]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("q=apache", [1]),
        ("sort=price", [1, 0, 2, 3]),
        ("sort=price&order=desc", [0, 1, 2, 3]),
        ("sort=failures", [1, 0, 2, 3]),
        ("sort=speed", [1, 0, 2, 3]),
        ("sort=latency", [2, 3, 0, 1]),
        ("sort=places", [0, 2, 1, 3]),
        ("sort=licence", [1, 0, 2, 3]),
        ("sort=rating&order=asc", [2, 1, 0, 3]),
    ],
)
def test_what_is_asked_for_comes_in_its_order_and_the_unknown_last_either_way_round(
    query: str, places: list[int]
) -> None:
    assert found(query) == places


def test_a_row_says_its_rank_its_places_and_half_its_interval() -> None:
    one = row(0, 1000, lower=990.0, upper=1030.0, rank_worst=4, rank_lower=2, rank_upper=3, se=7.0, p_first=0.5)
    made = board(one)
    listing = Listing.of(QueryDict())
    context = {"board": made, "listing": listing, "rows": [(one, "")], "columns": columns(made)}
    html = re.sub(r"<[^>]+>", "", render_to_string("ranking/figures.html", context))
    assert "11–4" in html and "2–3" in html and "±20" in html, "rank, and the ranks that joint intervals leave open"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_file_is_a_formula_and_numbers_stay_numbers(start: str) -> None:
    assert downloads.plain(f"{start}cmd|' /C calc'!A0").startswith(f"'{start}")
    assert downloads.plain(-1.5) == "-1.5" and downloads.plain(None) == ""
