"""How sure are we: each sentence, in each of its branches, from figures of a board; and none from a figure that is not there."""

from dataclasses import replace
from typing import Any

import pytest
from django.utils import translation

from ranking.board.board_format import Certificate, Claim, Clusters, Cycles, Drift, Position, Shrinkage, Sure, Why
from ranking.board.reasons import Interval
from ranking.fits.boards import Key
from ranking.pages import sure, words
from ranking.pages.published import Board
from tests.ranking.pages.made_boards import board, ladder


def said(shown: Board, anchor: str) -> sure.Sentence:
    (found,) = [one for one in sure.sentences(shown) if one.anchor == anchor]
    return found


def first(*chances: float | None) -> Board:
    rows = ladder(len(chances))
    return board(*(replace(row, p_first=chance) for row, chance in zip(rows, chances, strict=True)))


@pytest.mark.parametrize(
    ("chances", "words"),
    [
        ((0.97, 0.03, 0.0), "Model 0 leads: it is first in 97 % of the resamples."),
        ((0.999, 0.001, 0.0), "Model 0 leads: it is first in more than 99 % of the resamples."),
        (
            (0.6, 0.4, 0.0),
            "probably leads: it is first in 60 % of the resamples. 1 other model is first in at least 5 %",
        ),
        ((0.4, 0.35, 0.25), "Nobody clearly leads: Model 0 has the highest rating, but is first in only 40 %"),
        ((0.4, 0.35, 0.25), "2 other models are first in at least 5 % of them each, most often Model 1, in 35 %."),
    ],
)
def test_who_leads_and_how_surely(chances: tuple[float, ...], words: str) -> None:
    assert words in said(first(*chances), "p-first").text


def test_a_lead_without_rivals_names_none() -> None:
    assert "other model" not in said(first(0.97, 0.03, 0.0), "p-first").text


@pytest.mark.parametrize(("best", "words"), [(1, "only 1 model can be the best"), (3, "3 models can be the best")])
def test_the_joint_sentence_counts_who_can_be_best(best: int, words: str) -> None:
    rows = [replace(row, rank=1 if row.place < best else 4) for row in ladder(4)]
    text = said(board(*rows), "joint").text
    assert "all 4 models at once" in text and words in text
    none = board(*(replace(row, joint_lower=None) for row in rows))
    assert "joint" not in [one.anchor for one in sure.sentences(none)]


def claim(holds: bool) -> Claim:
    return Claim(better=0, worse=1, difference=10.0, se=1.0, p=0.01, p_holm=0.02, holds=holds)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (0, "Of 3 pairs of neighbours on the board, none is"),
        (1, "1 is told apart; the order of the others may be chance."),
        (2, "2 are told apart; the order of the others may be chance."),
        (3, "All 3 pairs of neighbours on the board are told apart when compared directly"),
    ],
)
def test_how_many_neighbours_are_told_apart(held: int, words: str) -> None:
    assert words in said(board(*ladder(4), claims=[claim(i < held) for i in range(3)]), "claims").text


@pytest.mark.parametrize(
    ("holds", "words"), [(True, "are told apart."), (False, "are not told apart: their order may")]
)
def test_a_board_of_two_models_speaks_of_the_two(holds: bool, words: str) -> None:
    assert words in said(board(*ladder(2), claims=[claim(holds)]), "claims").text


@pytest.mark.parametrize(("holds", "text"), [(True, "are told apart."), (False, "are not told apart: their order")])
def test_two_models_are_one_pair_of_neighbours(holds: bool, text: str) -> None:
    assert f"The two neighbours on the board {text}" in said(board(*ladder(2), claims=[claim(holds)]), "claims").text


@pytest.mark.parametrize(
    ("votes", "share", "words", "warns"),
    [
        (
            1,
            0.00002,
            "Leaving out 1 vote (0.002 % of all), if it is the right one, puts Model 1 ahead of Model 0.",
            True,
        ),
        (2, 0.00003, "Leaving out 2 votes (0.003 % of all), if they are the right ones", True),
        (40, 0.0213, "Leaving out 40 votes (2.1 % of all)", False),
        (300, 0.25, "(25 % of all)", False),
        (9, 0.0015, "(0.15 % of all)", True),
    ],
)
def test_the_votes_that_would_overturn_the_lead(votes: int, share: float, words: str, warns: bool) -> None:
    found = Certificate(votes=votes, share=share, leader=0, runner_up=1, exact=True)
    one = said(board(*ladder(3), certificate=found), "certificate")
    assert words in one.text and one.warns is warns


@pytest.mark.parametrize(
    ("confirmed", "words"),
    [(True, "The lead of Model 1 is confirmed"), (False, "does not yet tell Model 1 from Model 2")],
)
def test_whether_the_lead_is_confirmed_at_every_look(confirmed: bool, words: str) -> None:
    found = Sure(leader=1, runner_up=2, since="2026-03-04T05:06:07+00:00", confirmed=confirmed)
    text = said(board(*ladder(3), sure=found), "sequence").text
    assert words in text and "Model 1 has been ahead since 4 March 2026." in text
    unpublished = board(*ladder(3), sure=replace(found, since=None))
    assert "sequence" not in [one.anchor for one in sure.sentences(unpublished)]


@pytest.mark.parametrize(
    ("effective", "words", "warns"),
    [
        (None, "1.23 times as wide.", False),
        (88.4, "Each interval rests on about 88 people of equal weight or more.", False),
        (5.57, "about 5.6 people of equal weight or more.", False),
        (4.94, "no more than about 4.9 people of equal weight, too few to speak for others.", True),
    ],
)
def test_what_votes_of_one_person_are_worth(effective: float | None, words: str, warns: bool) -> None:
    found = Clusters(judges=120, effective_judges=effective, effective_votes=812.3, inflation=1.234)
    one = said(board(*ladder(3), clusters=found), "clusters")
    assert "120 people voted." in one.text and "about 812 independent ones" in one.text
    assert "1.23 times as wide" in one.text and one.text.endswith(words) and one.warns is warns


def test_a_board_of_one_person_says_that_it_speaks_for_nobody_else() -> None:
    one = said(board(*ladder(3), why={"clusters": Why.ONE_JUDGE}), "clusters")
    assert one.text.startswith("All votes are by one person") and one.warns


def test_nothing_but_ties_is_said_and_nobody_leads() -> None:
    flat = board(
        *ladder(3, step=0.0, p_first=1 / 3),
        method={"interval": Interval.BOUND, "replicates": 1, "helped_replicates": 0},
    )
    assert said(flat, "p-first").text == "Nobody leads: all ratings are equal."
    led = replace(
        flat, figures=replace(flat.figures, sure=Sure(leader=0, runner_up=1, since="2026-03-04", confirmed=False))
    )
    assert all(one.anchor != "sequence" for one in sure.sentences(led))
    assert said(flat, "no-spread").warns and "as if a coin had decided" in said(flat, "no-spread").text
    assert all(one.anchor != "no-spread" for one in sure.sentences(board(*ladder(3))))


@pytest.mark.parametrize(("votes", "warns"), [(19, True), (20, False)])
def test_few_votes_are_said(votes: int, warns: bool) -> None:
    rows = [*ladder(3)[:2], replace(ladder(3)[2], votes=votes)]
    told = [one for one in sure.sentences(board(*rows)) if one.anchor == "few-votes"]
    assert bool(told) is warns and all("Model 2 has 19" in one.text and one.warns for one in told)


def test_people_whose_votes_do_not_widen_the_intervals_are_said_to_change_little() -> None:
    text = said(board(*ladder(3), clusters=Clusters(judges=42, effective_votes=473.0, inflation=0.92)), "clusters").text
    assert text.startswith("42 people voted.") and "hardly changes the intervals" in text and "473" not in text


@pytest.mark.parametrize(("lower", "words"), [(0.49, "does not matter measurably"), (0.505, "The side matters")])
def test_the_effect_of_the_side(lower: float, words: str) -> None:
    found = Position(logit=0.04, se=0.02, share=0.51, lower=lower, upper=0.53)
    text = said(board(*ladder(3), position=found), "position").text
    assert words in text and f"gets 51.0 % ({lower * 100:.1f} – 53.0 %) of the points" in text


def test_imported_votes_have_neither_a_day_of_the_lead_nor_lots_for_sides() -> None:
    lead = Sure(leader=0, runner_up=1, since="2026-03-04T05:06:07+00:00", confirmed=False)
    side = Position(logit=0.04, se=0.02, share=0.41, lower=0.4, upper=0.42)
    imported = board(*ladder(3), key=Key("import:x"), sure=lead, position=side)
    assert "has been ahead since" not in said(imported, "sequence").text
    one = said(imported, "position")
    assert "is not known" in one.text and "drawn by lot" not in one.text and one.warns


@pytest.mark.parametrize(("p", "words", "warns"), [(0.2, "No model is shown", False), (0.0001, "p < 0.001", True)])
def test_changes_over_time(p: float, words: str, warns: bool) -> None:
    one = said(board(*ladder(3), drift=Drift(statistic=9.0, df=4, p=p, periods=5)), "drift")
    assert words in one.text and "5 periods" in one.text and one.warns is warns


@pytest.mark.parametrize(("p", "words", "warns"), [(0.4, "No sign of more circles", False), (0.01, "p = 0.010", True)])
def test_circles(p: float, words: str, warns: bool) -> None:
    one = said(board(*ladder(3), cycles=Cycles(observed=2, triads=9, expected=1.5, p=p)), "cycles")
    assert words in one.text and "2 of 9 triples of models, about 1.5 expected" in one.text and one.warns is warns
    many = said(board(*ladder(3), cycles=Cycles(observed=5100, triads=52490, expected=3058.8, p=p)), "cycles").text
    assert "5,100 of 52,490 triples of models, about 3,059 expected" in many


@pytest.mark.parametrize(("helped", "words"), [(1, "less than 1 %"), (30, "3 %"), (80, "8 %")])
def test_replicates_that_were_helped(helped: int, words: str) -> None:
    one = said(board(*ladder(3), method={"helped_replicates": helped, "replicates": 1000}), "helped")
    assert one.text.startswith(words) and one.warns is (helped > 50)
    assert all(one.anchor != "helped" for one in sure.sentences(board(*ladder(3))))


@pytest.mark.parametrize(("weight", "warns"), [(0.3, True), (0.8, False)])
def test_a_thin_category_leans_on_the_overall_board(weight: float, warns: bool) -> None:
    one = said(board(*ladder(3), shrinkage=Shrinkage(towards="", spread=12.0, weight=weight)), "shrinkage")
    assert f"weigh {round(weight * 100)} %" in one.text and one.warns is warns


def test_a_board_without_figures_or_ratings_claims_nothing() -> None:
    bare = [replace(row, joint_lower=None) for row in ladder(3)]
    assert sure.sentences(board(*bare)) == []
    assert sure.sentences(board(*ladder(1))) == [] == sure.sentences(board())


def test_what_is_missing_is_named_with_its_reason_and_nothing_that_belongs_elsewhere() -> None:
    why: dict[str, Any] = dict.fromkeys(words.FIGURES, Why.OLDER_METHOD) | {
        "clusters": Why.NO_JUDGES,
        "drift": "new_reason",
    }
    told = dict(sure.missing(board(*ladder(3), why=why, sure=None)))
    assert told["Votes by one person"] == "no two votes are known to be by the same person"
    assert told["Changes over time"] == "new_reason" and len(told) == len(words.FIGURES) - 2
    category = board(*ladder(3), why=why, key=Key("live", "code", controlled=True))
    assert len(sure.missing(category)) == len(words.FIGURES)
    drifting = board(*ladder(3), why=why, drift=Drift(statistic=1.0, df=1, p=0.5, periods=2))
    assert "Changes over time" not in dict(sure.missing(drifting))


def test_every_figure_and_reason_of_a_board_has_words() -> None:
    from ranking.board.board_format import FIGURES

    assert set(words.FIGURES) == set(FIGURES) and set(words.REASONS) == set(Why)


def test_sentences_follow_the_language() -> None:
    with translation.override("de"):
        text = said(first(0.6, 0.4, 0.0), "p-first").text
        assert "Model 0" in text and "probably" not in text and "Stichproben" in text
