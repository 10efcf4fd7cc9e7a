"""Intervals by judge with few or uneven judges: against the definition, and do they hold the truth as often as they say?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power

from ranking.estimators import few_judges, sandwich, simultaneous
from ranking.estimators.bradley_terry import NotConverged, chances, fit
from ranking.estimators.judges import JudgeTally

POINTS = np.array([1.0, 0.0, 0.5, 0.5])
UNEVEN = np.concatenate([[800], np.full(19, 63)])  # 20 judges, one with 40 % of the votes


def votes(rng: np.random.Generator, sizes: np.ndarray, models: int = 6, taste: float = 1.0) -> JudgeTally:
    """Equal models; judges with `sizes` votes and a taste of their own, N(0, taste) logits per model; a quarter are ties."""
    judge = np.repeat(np.arange(len(sizes)), sizes)
    a = rng.integers(0, models, len(judge))
    b = (a + rng.integers(1, models, len(judge))) % models
    liking = rng.normal(0, taste, (len(sizes), models))
    lost = rng.random(len(judge)) > 1 / (1 + np.exp(liking[judge, b] - liking[judge, a]))
    outcome = np.where(rng.random(len(judge)) < 0.25, 2, lost.astype(int))
    return JudgeTally.of_battles([f"m{i}" for i in range(models)], a, b, outcome, judge)


def estimate(tally: JudgeTally) -> np.ndarray:
    return fit(tally.tally().pairs()).theta


def defined(tally: JudgeTally, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V, nu and E(V) / M where battles are independent, by the definition: whole matrices, judge by judge, S as (J, J)."""
    design = np.zeros((len(tally.count), tally.size))
    design[np.arange(len(design)), tally.first], design[np.arange(len(design)), tally.second] = 1, -1
    p, q = chances(tally.first, tally.second, theta)
    weight, residual = tally.count * p * q, tally.count * (POINTS[tally.outcome] - p)
    values, vectors = np.linalg.eigh(design.T @ (weight[:, None] * design))
    root = vectors[:, 1:] / np.sqrt(values[1:])
    rows = [np.flatnonzero(tally.judge == judge) for judge in range(tally.judges)]
    lever = [root.T @ (design[one].T @ (weight[one, None] * design[one])) @ root for one in rows]
    adjust = [np.real(fractional_matrix_power(np.eye(len(root) - 1) - one, -0.5)) for one in lever]
    parts = np.array(
        [root @ (a @ (root.T @ (design[one].T @ residual[one]))) for a, one in zip(adjust, rows, strict=True)]
    )
    nu, unbiased = [], []
    for model in root:
        arms = [a @ model for a in adjust]
        flows = np.array([one @ arm for one, arm in zip(lever, arms, strict=True)])
        s = np.diag([arm @ flow for arm, flow in zip(arms, flows, strict=True)]) - flows @ flows.T
        nu.append(np.trace(s) ** 2 / (s * s).sum())
        unbiased.append(np.trace(s) / (model @ model))
    return parts.T @ parts, np.array(nu), np.array(unbiased)


@pytest.mark.parametrize("sizes", [UNEVEN // 4, np.full(7, 40), np.array([90, 60, 30]), np.arange(1, 30, 3)])
def test_it_is_the_definition_and_unbiased_and_its_degrees_are_a_little_low(sizes: np.ndarray) -> None:
    tally = votes(np.random.default_rng(2), sizes)
    theta = estimate(tally)
    made, (matrix, nu, unbiased) = few_judges.clustered(tally, theta), defined(tally, theta)
    assert made.freedom is not None and unbiased == pytest.approx(1, abs=1e-9)
    assert made.matrix == pytest.approx(matrix, abs=1e-9 * matrix.max())
    assert (made.freedom <= nu * (1 + 1e-9)).all() and (made.freedom > 0.95 * nu).all()
    assert np.abs(made.matrix.sum(axis=1)).max() < 1e-12


def test_two_models_in_closed_form() -> None:
    """Three judges of 10, 20 and 70 battles of one pair: shares q, V = sum u^2 / (1 - q), and G* = 1 / sum q^2."""
    won, lost = np.array([4, 13, 30]), np.array([6, 7, 40])
    outcome = np.concatenate([np.repeat([0, 1], pair) for pair in zip(won, lost, strict=True)])
    tally = JudgeTally.of_battles(
        "ab", np.zeros(100, int), np.ones(100, int), outcome, np.repeat([0, 1, 2], won + lost)
    )
    made = few_judges.clustered(tally, estimate(tally))
    q, p = np.array([0.1, 0.2, 0.7]), won.sum() / 100
    variance = ((won - 100 * q * p) ** 2 / (1 - q)).sum() / (100 * p * (1 - p)) ** 2
    assert made.se_of_difference(np.array([0]), np.array([1]))[0] ** 2 == pytest.approx(variance)
    assert made.effective == pytest.approx(1 / (q**2).sum())
    d = q / (1 - q)
    s = np.diag(d) - np.outer(d * (1 - q) ** 0.5, d * (1 - q) ** 0.5)
    assert made.freedom == pytest.approx(np.trace(s) ** 2 / (s * s).sum())


def coverage(sizes: np.ndarray, boards: int, taste: float) -> dict[str, np.ndarray]:
    """Of each board: the share of models whose interval holds the truth (0), and whether the joint ones hold all."""
    inside: dict[str, list[float]] = {"now": [], "plain": [], "joint": []}
    for board in range(boards):
        tally = votes(np.random.default_rng([len(sizes), board]), sizes, taste=taste)
        theta = estimate(tally)
        covariance = few_judges.clustered(tally, theta)
        ends, plain = simultaneous.pointwise(theta, covariance), sandwich.clustered(tally, theta)
        inside["now"].append(((ends.lower <= 0) & (ends.upper >= 0)).mean())
        inside["plain"].append((np.abs(theta) <= 1.96 * plain.se).mean())
        critical = simultaneous.critical_max_t(covariance, board, draws=2000)
        inside["joint"].append((np.abs(theta) <= critical * covariance.se).all())
    return {name: np.array(values) for name, values in inside.items()}


@pytest.mark.parametrize("sizes", [UNEVEN, np.full(5, 100), np.full(20, 30)], ids=["one of 40 %", "five", "twenty"])
def test_intervals_of_few_judges_with_tastes_hold_what_they_say(sizes: np.ndarray) -> None:
    inside = coverage(sizes, boards := 60, taste=1.0)
    error = inside["now"].std() / boards**0.5
    assert abs(inside["now"].mean() - 0.95) < 3 * error, inside["now"].mean()
    assert inside["joint"].mean() > 0.925 - 3 * (0.925 * 0.075 / boards) ** 0.5  # of 400 boards .925 to .980
    if len(sizes) == 5 or sizes is UNEVEN:
        assert inside["plain"].mean() < 0.95 - 3 * error, "the plain form would do"


def test_many_judges_leave_the_plain_form_as_it_is() -> None:
    tally = votes(np.random.default_rng(3), np.full(6000, 2), taste=0.3)
    theta = estimate(tally)
    made, plain = few_judges.clustered(tally, theta), sandwich.clustered(tally, theta)
    assert made.se == pytest.approx(plain.se, rel=0.0005) and made.effective.min() > 2500
    assert few_judges.widening(made) == pytest.approx(1, abs=0.0005)
    drawn = theta + np.random.default_rng(1).normal(size=(5, 6))
    assert few_judges.replicates(tally, theta, made, drawn) == pytest.approx(drawn, abs=0.003)


def test_a_larger_model_borrows_what_is_added_and_stays_a_covariance() -> None:
    tally = votes(np.random.default_rng(8), np.array([40, 30, 20, 10]))
    theta = estimate(tally)
    plain, exact = sandwich.clustered(tally, theta).matrix, few_judges.clustered(tally, theta)
    made = few_judges.borrowed(plain + 0.01, tally, theta)
    assert made.matrix == pytest.approx(exact.matrix + 0.01, abs=1e-9) and made.freedom == pytest.approx(exact.freedom)
    assert np.linalg.eigvalsh(few_judges.borrowed(plain * 0, tally, theta).matrix).min() > -1e-12


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.permutations(range(6)))
def test_the_order_of_models_and_judges_does_not_matter(seed: int, order: list[int]) -> None:
    tally = votes(np.random.default_rng(seed), np.array([60, 40, 30, 9, 9, 5]))
    place = np.argsort(order)
    turned = JudgeTally.of_battles(
        tally.models, place[tally.first], place[tally.second], tally.outcome, 5 - tally.judge, tally.count
    )
    one, other = (few_judges.clustered(some, estimate(some)) for some in (tally, turned))
    assert other.matrix == pytest.approx(one.matrix[np.ix_(order, order)], rel=1e-6, abs=1e-9)
    assert other.freedom == pytest.approx(one.freedom[order], rel=1e-6)
    assert other.effective == pytest.approx(one.effective[order], rel=1e-6)


def test_the_budget_of_work_leaves_the_lighter_judges_to_their_mean_leverage(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = votes(np.random.default_rng(5), UNEVEN // 4)
    theta = estimate(tally)
    exact = few_judges.clustered(tally, theta)
    monkeypatch.setattr(few_judges, "WORK", 2 * 5**2 * 15)
    monkeypatch.setattr(few_judges, "BLOCK", 30)
    assert len(few_judges._heavy(few_judges._edges(tally, theta))) == 2
    rough = few_judges.clustered(tally, theta)
    assert rough.se == pytest.approx(exact.se, rel=0.1) and rough.effective == pytest.approx(exact.effective)
    assert rough.freedom == pytest.approx(exact.freedom, rel=0.35)


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(sandwich.TooFewJudges):
        few_judges.clustered(JudgeTally.of_battles("ab", [0, 0], [1, 1], [0, 1], [5, 5]), np.zeros(2))
    with pytest.raises(NotConverged):
        few_judges.clustered(JudgeTally.of_battles("abcd", [0, 2], [1, 3], [2, 2], [0, 1]), np.zeros(4))
