"""Boards of few judges, of one, of judges who cancel out, and of nothing but ties: their intervals claim nothing."""

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from ranking.board.build import build
from ranking.board.inputs import Inputs
from ranking.board.reasons import Interval
from ranking.estimators import bootstrap, few_judges, sandwich
from ranking.estimators.bradley_terry import PER_LOGIT, fit, to_rating
from ranking.estimators.judges import JudgeTally
from ranking.estimators.tally import Outcome, Tally
from tests.ranking.board.made_votes import column, made


@pytest.mark.parametrize(("judges", "why"), [(0, "no_judges"), (1, "one_judge"), (3, None), (200, None)])
def test_one_or_unknown_judges_leave_the_board_battle_level(judges: int, why: str | None) -> None:
    tally, by_judge = made(judges=judges)
    board = build(Inputs(tally=tally, judges=by_judge, seed=1, replicates=100))
    assert board["why"].get("clusters") == why
    assert board["method"]["level"] == ("battle" if why else "judge")
    assert board["method"]["interval"] == (Interval.STUDENT if judges == 3 else Interval.PERCENTILE)
    assert all((model["effective_judges"] is None) == bool(why) for model in board["models"])


def test_many_judges_are_resampled_and_the_spread_is_stretched_by_next_to_nothing() -> None:
    tally, judges = made(judges=200)
    board = build(Inputs(tally=tally, judges=judges, seed=1, replicates=300))
    theta = fit(tally.pairs()).theta
    lower, upper = bootstrap.percentiles(bootstrap.clustered(judges, theta, 1, 300).thetas)
    plain, covariance = sandwich.clustered(judges, theta), few_judges.clustered(judges, theta)
    spread = plain.se * ((judges.judges - 1) / judges.judges) ** 0.5
    stretch = stdtrit(covariance.freedom, 0.975) / ndtri(0.975) * covariance.se / spread
    assert stretch == pytest.approx(1, abs=0.03)
    assert column(board, "lower") == pytest.approx(to_rating(theta + stretch * (lower - theta)), abs=1e-9)
    assert column(board, "upper") == pytest.approx(to_rating(theta + stretch * (upper - theta)), abs=1e-9)


def test_three_judges_have_wide_intervals_and_student_s_ends() -> None:
    """A board with fewer judges is not surer than one with many."""
    tally, three = made(judges=3)
    few, many = (
        build(Inputs(tally=tally, judges=judges, seed=1, replicates=400)) for judges in (three, made(judges=120)[1])
    )
    found = few_judges.clustered(three, fit(tally.pairs()).theta)
    assert found.freedom.min() >= 1 and found.effective.max() <= 3
    reach = stdtrit(found.freedom, 0.975) * found.se * PER_LOGIT
    assert column(few, "upper") - column(few, "rating") == pytest.approx(reach, rel=1e-9)
    assert few["clusters"]["effective_judges"] == found.effective.min()
    wide, narrow = (np.mean(column(board, "upper") - column(board, "lower")) for board in (few, many))
    assert wide > narrow and few["clusters"]["effective_votes"] < many["clusters"]["effective_votes"]
    spread = [np.ptp(model["quantiles"][2:-2]) for model in few["models"]]  # replicates are as wide as the intervals
    ends = [(model["upper"] - model["lower"]) * 2 * 1.2816 / (2 * 1.96) for model in few["models"]]
    assert np.median(np.array(spread) / ends) == pytest.approx(1, abs=0.12)


def test_a_model_that_one_judge_alone_has_seen_is_as_unsure_as_one_judge() -> None:
    """Its score is zero at the estimate, so the plain form gives it an error of nothing and a place of its own."""
    rng = np.random.default_rng(4)
    a = np.concatenate([rng.integers(0, 5, 300), np.full(40, 5)])
    b = np.concatenate([(a[:300] + rng.integers(1, 5, 300)) % 5, rng.integers(0, 5, 40)])
    judge, outcome = np.concatenate([rng.integers(0, 60, 300), np.full(40, 7)]), rng.integers(0, 3, 340)
    given = [tuple("abcdef"), a, b, outcome]
    inputs = Inputs(tally=Tally.of_battles(*given), judges=JudgeTally.of_battles(*given, judge), seed=1, replicates=200)
    alone = next(model for model in build(inputs)["models"] if model["model"] == "f")
    assert alone["se"] > 0.5 * alone["battle"]["se"] and alone["effective_judges"] < 2
    assert alone["upper"] - alone["lower"] > alone["battle"]["upper"] - alone["battle"]["lower"]
    assert (alone["rank"], alone["rank_worst"]) == (1, 6)


@pytest.mark.parametrize("outcome", [Outcome.TIE, Outcome.BOTH_BAD])
@pytest.mark.parametrize("votes", [1, 30])
def test_nothing_but_ties_is_no_certainty(outcome: int, votes: int) -> None:
    """n ties of two models: Var(theta_1 - theta_2) = 4 / n, as of n coins."""
    given = [("x", "y"), np.zeros(votes, int), np.ones(votes, int), np.full(votes, outcome)]
    judges = JudgeTally.of_battles(*given, np.arange(votes) // 3)
    board = build(Inputs(tally=Tally.of_battles(*given), judges=judges, seed=1, replicates=200))
    assert board["method"]["interval"] == Interval.BOUND and board["method"]["level"] == "battle"
    assert board["why"]["clusters"] == ("no_judges" if votes == 1 else "no_spread")
    for model in board["models"]:
        assert model["rating"] == pytest.approx(1000) and model["se"] == pytest.approx(PER_LOGIT / votes**0.5)
        assert model["lower"] < 1000 - PER_LOGIT / votes**0.5 and (model["rank"], model["rank_worst"]) == (1, 2)
    assert (
        board["why"]["cycles"] == "too_few"
        and board["certificate"] is None
        and not board["claims"][0]["holds"]
        and not board["sure"]["confirmed"]
    )
