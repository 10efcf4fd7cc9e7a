"""Do intervals hold the truth as often as they say? Simulated boards whose truth is Bradley-Terry with ties."""

import numpy as np

from ranking.estimators import bootstrap, ranks, sandwich, simultaneous
from ranking.estimators.bradley_terry import fit
from ranking.estimators.judges import JudgeTally
from tests.ranking.estimators.simulated import even, half_win_tally

THETA = np.linspace(-1.2, 1.2, 7)
BOARDS = 2000


def test_coverage_of_pointwise_max_t_and_chi_square_intervals_and_of_ranks() -> None:
    rng, inside = np.random.default_rng(12), {"pointwise": [], "max_t": [], "chi_square": []}
    truth, ranked = np.arange(7, 0, -1), []
    for board in range(BOARDS):
        tally = half_win_tally(rng, THETA, even(7, 150))
        theta = fit(tally.pairs()).theta
        covariance = sandwich.battle(tally, theta)
        critical = simultaneous.critical_max_t(covariance, board, draws=4000)
        deviation = np.abs(theta - THETA) / covariance.se
        square = simultaneous.chi_square(theta, covariance)
        point = simultaneous.pointwise(theta, covariance)
        inside["pointwise"].append((deviation <= point.critical).mean())
        inside["max_t"].append((deviation <= critical).all())
        inside["chi_square"].append(((square.lower <= THETA) & (square.upper >= THETA)).all())
        best, worst = ranks.bounds(theta - critical * covariance.se, theta + critical * covariance.se)
        ranked.append(((best <= truth) & (truth <= worst)).all())
    for name in ("pointwise", "max_t"):
        error = np.std(inside[name]) / BOARDS**0.5
        assert abs(np.mean(inside[name]) - 0.95) < 3 * error, (name, np.mean(inside[name]), error)
    assert np.mean(inside["chi_square"]) >= 0.95
    assert np.mean(ranked) >= 0.95 - 3 * 0.0049  # rank bounds hold whenever the intervals do (paper eq. 1)


def test_coverage_of_percentile_intervals_of_the_bootstrap() -> None:
    rng, inside = np.random.default_rng(6), []
    for board in range(400):
        pairs = half_win_tally(rng, THETA, even(7, 100)).pairs()
        made = bootstrap.multinomial(pairs, fit(pairs).theta, seed=board, replicates=500)
        lower, upper = bootstrap.percentiles(made.thetas)
        inside.append(((lower <= THETA) & (upper >= THETA)).mean())
    assert abs(np.mean(inside) - 0.95) < 0.005 + 3 * np.std(inside) / 400**0.5  # B = 500 costs up to .005


def test_intervals_by_judge_hold_where_judges_have_tastes_and_intervals_by_battle_do_not() -> None:
    """300 boards of 6 equal models, 80 judges with 30 votes each and a taste of their own: N(0, 1) logits per model."""
    rng, judge, inside = (
        np.random.default_rng(21),
        np.repeat(np.arange(80), 30),
        {"judge": [], "battle": [], "drawn": []},
    )
    for board in range(300):
        a = rng.integers(0, 6, len(judge))
        b = (a + rng.integers(1, 6, len(judge))) % 6
        taste = rng.normal(size=(80, 6))
        outcome = (rng.random(len(judge)) > 1 / (1 + np.exp(taste[judge, b] - taste[judge, a]))).astype(int)
        tally = JudgeTally.of_battles("abcdef", a, b, outcome, judge)
        theta = fit(tally.tally().pairs()).theta
        for name, covariance in (
            ("judge", sandwich.clustered(tally, theta)),
            ("battle", sandwich.battle(tally.tally(), theta)),
        ):
            ends = simultaneous.pointwise(theta, covariance)
            inside[name].append(((ends.lower <= 0) & (ends.upper >= 0)).mean())
        lower, upper = bootstrap.percentiles(bootstrap.clustered(tally, theta, board, 300).thetas)
        inside["drawn"].append(((lower <= 0) & (upper >= 0)).mean())
    error = 3 * np.std(inside["judge"]) / 300**0.5
    assert abs(np.mean(inside["judge"]) - 0.95) < 0.01 + error  # 80 judges: up to .01 too few
    assert abs(np.mean(inside["drawn"]) - 0.95) < 0.015 + error
    assert np.mean(inside["battle"]) < 0.90
