"""The first position: published figures, statsmodels, symmetry, coverage and the refusal."""

import csv

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ranking.estimators import outcomes, position
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.half_win import HALF_WIN
from ranking.estimators.outcomes import NoEstimate
from ranking.estimators.rao_kupper import RAO_KUPPER
from ranking.estimators.tally import Cell, Tally
from tests.ranking import real_votes
from tests.ranking.estimators import law_battles


def turned(tally: Tally) -> Tally:
    """The same battles with the two answers shown the other way round."""
    return Tally(
        tally.models,
        tally.first,
        tally.second,
        ~tally.first_was_a,
        tally.outcome,
        tally.count,
        tally.inverse_p,
        tally.inverse_p2,
    )


def test_published_values_baseball_1987() -> None:
    """Agresti (2002), table 10.11, as printed with four digits by BradleyTerry2 1.1: abilities against Baltimore, at.home."""
    with real_votes.file("baseball_1987.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    tally = Tally.of_cells(
        Cell(row["home.team"], row["away.team"], outcome, float(row[column]))
        for row in rows
        for outcome, column in (("first", "home.wins"), ("second", "away.wins"))
    )
    found = position.estimate(tally)
    assert tally.models[0] == "Baltimore"
    against = (found.fit.theta - found.fit.theta[0])[1:]
    assert np.allclose(against, [1.1438, 0.7047, 1.4754, 1.6196, 1.2813, 1.3271], atol=5e-5)
    assert found.logit == pytest.approx(0.3023, abs=5e-5)
    assert np.sqrt(found.fit.covariance[7, 7]) == pytest.approx(0.1309, abs=6e-5)  # printed after another stopping rule
    change = np.eye(8)[1:7] - np.eye(8)[0]
    errors = np.sqrt(np.diag(change @ found.fit.covariance @ change.T))
    assert np.allclose(errors, [0.3378, 0.3350, 0.3446, 0.3474, 0.3404, 0.3403], atol=6e-5)
    plain = outcomes.fit(HALF_WIN, tally)
    assert np.allclose((plain.theta - plain.theta[0])[1:], [1.1077, 0.6839, 1.4364, 1.5814, 1.2476, 1.2945], atol=5e-5)
    assert 2 * (found.fit.log_likelihood - plain.log_likelihood) == pytest.approx(5.4106, abs=5e-5)
    home = sum(float(row["home.wins"]) for row in rows)
    assert found.first_won == pytest.approx(home / found.decided) and found.decided == tally.total == 273


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6))
def test_half_win_with_a_position_is_a_regression_with_an_intercept(seed: int, k: int) -> None:
    tally = law_battles.ring(seed, k)
    side = np.where(tally.first_was_a, 1.0, -1.0)
    assume(not outcomes.decided_by_models(tally))
    design = np.column_stack([(np.eye(k)[tally.first] - np.eye(k)[tally.second])[:, 1:], side])
    points, times = np.array([1.0, 0.0, 0.5, 0.5])[tally.outcome], tally.count.astype(int)
    glm = sm.GLM(np.repeat(points, times), np.repeat(design, times, axis=0), family=sm.families.Binomial())
    expected = glm.fit(tol=1e-14, maxiter=100, cov_type="HC0")
    found = position.estimate(tally)
    assert found.logit == pytest.approx(expected.params[-1], abs=1e-8)
    assert found.se == pytest.approx(expected.bse[-1], rel=1e-6)
    assert np.allclose(found.fit.theta[1:] - found.fit.theta[0], expected.params[:-1], atol=1e-8)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([HALF_WIN, DAVIDSON, RAO_KUPPER]))
def test_turning_every_battle_turns_the_sign(seed: int, law: outcomes.Law) -> None:
    tally = law_battles.ring(seed, 4)
    assume(not outcomes.decided_by_models(tally))
    one, other = position.estimate(tally, law), position.estimate(turned(tally), law)
    assert other.logit == pytest.approx(-one.logit, abs=1e-8) and other.se == pytest.approx(one.se, abs=1e-8)
    assert np.allclose(one.fit.theta, other.fit.theta, atol=1e-8)
    assert one.first_won is not None and other.first_won == pytest.approx(1 - one.first_won)
    assert np.allclose(position.share_first(tally) + position.share_first(turned(tally)), 1)


def test_pairs_that_always_have_one_order_are_refused_when_the_models_explain_it() -> None:
    chain = Tally.of_battles("abc", [0] * 6, [1, 1, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2])
    with pytest.raises(NoEstimate, match="who is shown first"):
        position.estimate(chain)
    circle = Tally.of_battles("abc", [0, 0, 0, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2, 0, 0, 0], [0, 1, 0] * 3)
    assert position.estimate(circle).logit == pytest.approx(
        np.log(2), abs=1e-9
    )  # in a circle no three numbers explain it


def test_share_shown_first_counts_sides_not_results() -> None:
    tally = Tally.of_battles("abcd", [0, 0, 0, 1, 2], [1, 1, 2, 0, 1], [0, 0, 1, 2, 3])
    assert position.share_first(tally)[:3].tolist() == pytest.approx([3 / 4, 1 / 4, 1 / 2])
    assert np.isnan(position.share_first(tally)[3])
    none_decided = Tally.of_battles("ab", [0, 1], [1, 0], [2, 2])
    assert position.share_first(none_decided).tolist() == [0.5, 0.5]
