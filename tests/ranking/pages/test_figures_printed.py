"""How figures are printed: rounded, not cut off, in the reader's language, and never more precise than they are."""

import pytest
from django.utils import translation

from ranking.templatetags import board


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.857, "86 %"),
        (0.0577, "5.8 %"),
        (0.00577, "0.58 %"),
        (0.000577, "0.058 %"),
    ],
)
def test_shares_have_two_digits_that_count(share: float | None, words: str) -> None:
    assert board.percent_fine(share) == words


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [(0.012, 0.17, "1.2 % – 17 %"), (0.16666, 0.16667, "17 %"), (None, None, "–")],
)
def test_a_range_of_shares_is_one_figure_where_both_ends_are(
    least: float | None, most: float | None, words: str
) -> None:
    assert board.percent_to(least, most) == words


@pytest.mark.parametrize(("logits", "words"), [(0.161, "+28"), (-0.242, "−42"), (0.001, "0")])
def test_effects_of_style_are_points_with_a_sign(logits: float, words: str) -> None:
    assert board.in_points(logits) == words


@pytest.mark.parametrize(("value", "words"), [(0.456, "0.46 s"), (3.16, "3.2 s"), (12.7, "13 s")])
def test_waits_are_as_precise_as_they_deserve(value: float, words: str) -> None:
    assert board.in_seconds(value) == words


@pytest.mark.parametrize(("value", "words"), [(6.06, "+6.1"), (-0.28, "−0.3"), (0.0, "0.0")])
def test_differences_have_a_sign(value: float, words: str) -> None:
    assert board.signed(value) == words


@pytest.mark.parametrize(("value", "words"), [(2.0, "2"), (0.25, "0.25"), (1234.5, "1,234.5"), (0.00004, "0")])
def test_prices_have_no_zeros_at_their_end(value: float, words: str) -> None:
    assert board.money(value) == words


def test_german_figures_have_a_comma() -> None:
    with translation.override("de"):
        assert (board.percent_fine(0.0577), board.money(1234.5), board.signed(-0.28)) == ("5,8 %", "1.234,5", "−0,3")


@pytest.mark.parametrize(
    ("stored", "words"),
    [("half-win", "half a win (this board)"), ("grounded Rao-Kupper", "Rao-Kupper, “both bad” apart"), ("new", "new")],
)
def test_names_of_methods_have_words(stored: str, words: str) -> None:
    assert board.named(stored) == words
