"""The laws of outcomes against independent implementations, and the refusals where no estimate exists."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import xlogy
from statsmodels.miscmodels.ordinal_model import OrderedModel

from ranking.estimators import bradley_terry, outcomes, sandwich
from ranking.estimators.davidson import DAVIDSON
from ranking.estimators.grounded_rao_kupper import GROUNDED_RAO_KUPPER
from ranking.estimators.half_win import DROP, HALF_WIN
from ranking.estimators.laws import Law, log_chances
from ranking.estimators.outcomes import NoEstimate
from ranking.estimators.rao_kupper import RAO_KUPPER
from ranking.estimators.tally import Cell, Outcome, Tally
from tests.ranking import real_votes
from tests.ranking.estimators import law_battles

LAWS = (HALF_WIN, DROP, DAVIDSON, RAO_KUPPER, GROUNDED_RAO_KUPPER)
seeds = st.integers(0, 2**32 - 1)


def chances(law: Law, x1: float, x2: float, phi: float) -> np.ndarray:
    """P of (first, second, tie, both bad), written from the papers' formulas with plain arithmetic."""
    one, two, k = np.exp(x1), np.exp(x2), np.exp(phi)
    if law is HALF_WIN:
        return np.array([one, two, np.sqrt(one * two), np.nan]) / (one + two)
    if law is DROP:
        return np.array([one / (one + two), two / (one + two), np.nan, np.nan])
    if law is DAVIDSON:
        return np.array([one, two, k * np.sqrt(one * two), np.nan]) / (one + two + k * np.sqrt(one * two))
    if law is RAO_KUPPER:
        tie = (k**2 - 1) * one * two / ((one + k * two) * (two + k * one))
        return np.array([one / (one + k * two), two / (two + k * one), tie, np.nan])
    three = np.array([one / (one + k * two + 1), two / (two + k * one + 1), 1 / (1 + one + two)])
    return np.array([three[0], three[1], 1 - three.sum(), three[2]])


@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0.05, 2))
def test_the_laws_are_the_papers_formulas(x1: float, x2: float, phi: float) -> None:
    for law in LAWS:
        logs = log_chances(law, np.array([x1]), np.array([x2]), phi)[:, 0]
        written = chances(law, x1, x2, phi)
        stated = [outcome for outcome in Outcome if outcome in law.chances]
        assert np.allclose(np.exp(logs[stated]), written[stated], rtol=1e-9, atol=1e-13)
        assert np.all(logs[[outcome for outcome in Outcome if outcome not in law.chances]] == -np.inf)
        if law is not HALF_WIN:  # a quasi-likelihood
            assert np.exp(logs).sum() == pytest.approx(1, abs=1e-12)


def objective(law: Law, tally: Tally, position: bool, p: np.ndarray) -> float:
    """Minus the log-likelihood, cell by cell, from the formulas above; the first theta is 0 unless the law is absolute."""
    theta = p[: tally.size] if law.absolute else np.append(0.0, p[: tally.size - 1])
    rest = p[len(theta) - (not law.absolute) :]
    gamma, total = (rest[0] if position else 0.0), 0.0
    phi = rest[-1] if law.tie_start is not None else 0.0
    if phi <= 0 and law not in (DAVIDSON, HALF_WIN, DROP):
        return 1e9 * (1 - phi)
    for i, j, was_a, ended, count in zip(
        tally.first, tally.second, tally.first_was_a, tally.outcome, tally.count, strict=True
    ):
        outcome = Outcome.TIE if ended == Outcome.BOTH_BAD and not law.absolute else ended
        if outcome in law.chances:
            p_all = chances(law, theta[i] + gamma * was_a, theta[j] + gamma * (not was_a), phi)
            total -= xlogy(count, p_all[outcome])
    return float(total)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("position", [False, True])
def test_estimates_and_information_are_those_of_a_general_optimiser(law: Law, position: bool) -> None:
    for seed in range(3):
        tally = law_battles.ring(seed, 3, most=4)
        fitted = outcomes.fit(law, tally, position=position)
        start = np.full(tally.size - (not law.absolute) + position + (law.tie_start is not None), 0.2)
        best = minimize(lambda p: objective(law, tally, position, p), start, method="BFGS", options={"gtol": 1e-7})
        best = minimize(lambda p: objective(law, tally, position, p), best.x, method="Nelder-Mead", options=TIGHT)
        theta = best.x[: tally.size] if law.absolute else np.append(0.0, best.x[: tally.size - 1])
        assert -fitted.log_likelihood <= best.fun + 1e-9
        assert np.allclose(fitted.theta, theta - theta.mean(), atol=1e-5)
        rest = [value for value in (fitted.position, fitted.tie) if value is not None]
        assert np.allclose(rest, best.x[len(best.x) - len(rest) :], atol=1e-5)
        numeric = _curvature(lambda p: objective(law, tally, position, p), best.x)
        change = np.eye(len(fitted.covariance))
        if not law.absolute:
            change[:, 0] -= np.arange(len(change)) < tally.size
            inverse = (change @ fitted.covariance @ change.T)[1:, 1:]
            assert np.allclose(inverse, np.linalg.inv(numeric), rtol=2e-3, atol=1e-4)
        else:
            assert fitted.anchor is not None and fitted.anchor[0] == pytest.approx(theta.mean(), abs=1e-5)
            centre = np.eye(len(numeric))
            centre[:3, :3] -= 1 / 3
            assert np.allclose(fitted.covariance, centre @ np.linalg.inv(numeric) @ centre.T, rtol=2e-3, atol=1e-4)


TIGHT = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}


def _curvature(f: object, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    unit = np.eye(len(x)) * h
    return np.array(
        [[(f(x + u + v) - f(x + u - v) - f(x - u + v) + f(x - u - v)) / (4 * h * h) for v in unit] for u in unit]  # type: ignore[operator]
    )


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8))
def test_half_win_and_drop_are_bradley_terry(seed: int, k: int) -> None:
    tally = law_battles.ring(seed, k)
    met = tally.pairs()
    decided = replace(met, tied=0 * met.tied, both_bad=0 * met.tied)
    assert np.allclose(outcomes.fit(HALF_WIN, tally).theta, bradley_terry.fit(met).theta, atol=1e-9)
    assert np.allclose(outcomes.fit(DROP, tally).theta, bradley_terry.fit(decided).theta, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 6), st.sampled_from(LAWS))
def test_names_sides_and_order_do_not_matter(seed: int, k: int, law: Law) -> None:
    tally = law_battles.ring(seed, k)
    rng = np.random.default_rng(seed)
    moved = rng.permutation(k)
    names = {outcome: name for name, outcome in zip(("first", "second", "tie", "both_bad"), Outcome, strict=True)}
    turned = {Outcome.FIRST: "second", Outcome.SECOND: "first"}
    cells = [
        Cell(f"n{moved[j]}", f"n{moved[i]}", turned.get(Outcome(end), names[Outcome(end)]), count, not was_a)
        for i, j, was_a, end, count in zip(
            tally.first, tally.second, tally.first_was_a, tally.outcome, tally.count, strict=True
        )
    ]
    order = rng.permutation(len(cells))
    other = Tally.of_cells([cells[i] for i in order], [f"n{i}" for i in range(k)])
    expected, fitted = (outcomes.fit(law, t, position=True) for t in (tally, other))
    assert np.allclose(fitted.theta[moved], expected.theta, atol=1e-8)
    assert fitted.position == pytest.approx(expected.position, abs=1e-8)
    places = [*moved, *range(k, len(expected.sandwich))]
    assert np.allclose(fitted.sandwich[np.ix_(places, places)], expected.sandwich, atol=1e-8)


def test_davidson_is_a_poisson_regression() -> None:
    """Log-linear form: a level per pair, theta / 2 apart for a win, and phi for a tie (Fienberg and Larntz 1976)."""
    tally = law_battles.ring(5, 4, both_bad=False)
    met = tally.pairs()
    count, rows = np.concatenate([met.won, met.lost, met.tied]), len(met.first)
    level = np.tile(np.eye(rows), (3, 1))
    half = (np.eye(4)[met.first] - np.eye(4)[met.second]) / 2
    tie = np.repeat([0, 0, 1.0], rows)
    design = np.column_stack([level, np.vstack([half, -half, 0 * half])[:, 1:], tie])
    model = sm.GLM(count, design, family=sm.families.Poisson()).fit(tol=1e-14, maxiter=200)
    theta = np.append(0.0, model.params[rows : rows + 3])
    fitted = outcomes.fit(DAVIDSON, tally)
    assert np.allclose(fitted.theta, theta - theta.mean(), atol=1e-8)
    assert fitted.tie == pytest.approx(model.params[-1], abs=1e-8)
    assert fitted.covariance[-1, -1] == pytest.approx(model.cov_params()[-1, -1], rel=1e-6)


def test_rao_kupper_is_an_ordered_logit() -> None:
    tally = law_battles.ring(6, 4, both_bad=False)
    level = np.array([2, 0, 1])[tally.outcome]
    difference = np.eye(4)[tally.first] - np.eye(4)[tally.second]
    times = tally.count.astype(int)
    both = np.concatenate(
        [np.repeat(level, times), np.repeat(2 - level, times)]
    )  # either way round: symmetric thresholds
    design = np.vstack([np.repeat(difference, times, axis=0), np.repeat(-difference, times, axis=0)])[:, 1:]
    ordered = OrderedModel(both, design, distr="logit")
    params = ordered.fit(method="bfgs", gtol=1e-8, maxiter=1000, disp=False).params
    theta = np.append(0.0, params[:3])
    fitted = outcomes.fit(RAO_KUPPER, tally)
    assert np.allclose(fitted.theta, theta - theta.mean(), atol=1e-5)
    assert fitted.tie == pytest.approx(-params[3], abs=1e-5)


def test_a_reweighted_fit_and_its_sandwich_are_those_of_the_board() -> None:
    """Equation 7: H takes sums of 1 / P, the scores' covariance sums of 1 / P^2."""
    rng = np.random.default_rng(17)
    a, b = rng.integers(0, 3, 600), rng.integers(3, 6, 600)
    tally = Tally.of_battles("abcdef", a, b, rng.integers(0, 4, 600), rng.uniform(0.02, 0.5, 600))
    fitted = outcomes.fit(HALF_WIN, tally, reweighted=True)
    theta = bradley_terry.fit(tally.pairs(reweighted=True)).theta
    assert np.allclose(fitted.theta, theta, atol=1e-9)
    assert np.allclose(fitted.sandwich, sandwich.battle(tally, theta, reweighted=True).matrix, atol=1e-12)


def test_the_error_of_the_zero_is_by_the_sandwich() -> None:
    """Every battle counted ten times by its weight, and known no better: the inverse information would shrink by ten."""
    plain = law_battles.ring(9, 4)
    ten = replace(plain, inverse_p=plain.count * 10, inverse_p2=plain.count * 100)
    one, other = (outcomes.fit(GROUNDED_RAO_KUPPER, ten, reweighted=weighted).anchor for weighted in (False, True))
    assert one is not None and other is not None and one == pytest.approx(other, abs=1e-9)


def test_the_sandwich_of_half_win_is_that_of_statsmodels() -> None:
    tally = law_battles.ring(7, 5)
    points = np.array([1.0, 0.0, 0.5, 0.5])[tally.outcome]
    design = (np.eye(5)[tally.first] - np.eye(5)[tally.second])[:, 1:]
    times = tally.count.astype(int)
    glm = sm.GLM(np.repeat(points, times), np.repeat(design, times, axis=0), family=sm.families.Binomial())
    expected = glm.fit(tol=1e-14, maxiter=100, cov_type="HC0").cov_params()
    fitted = outcomes.fit(HALF_WIN, tally)
    change = np.eye(5) - np.outer(np.ones(5), np.eye(5)[0])
    assert np.allclose((change @ fitted.sandwich @ change.T)[1:, 1:], expected, rtol=1e-7)


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: law.name)
def test_intervals_cover_what_generated_the_battles(law: Law) -> None:
    rng, theta = np.random.default_rng(11), np.array([0.9, 0.2, -0.3, -0.8])
    phi, inside = (None if law.tie_start is None else 0.6), []
    for _board in range(300):
        fitted = outcomes.fit(law, law_battles.battles(rng, law, theta, 600, phi, 0.15), position=True)
        truth = np.concatenate([theta, [0.15], [] if phi is None else [phi]])
        found = np.concatenate([fitted.theta, [fitted.position], [] if phi is None else [fitted.tie]])
        inside.append(
            [np.abs(found - truth) < 1.96 * np.sqrt(np.diag(c)) for c in (fitted.covariance, fitted.sandwich)]
        )
    assert np.all(np.abs(np.mean(inside, axis=0) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 300) + 0.003)


def test_an_absolute_law_finds_its_zero() -> None:
    """Half of the models are below the bar; the anchor is their mean distance from it."""
    rng, theta = np.random.default_rng(12), np.array([1.5, 0.5, -0.5, -2.5])
    fitted = outcomes.fit(GROUNDED_RAO_KUPPER, law_battles.battles(rng, GROUNDED_RAO_KUPPER, theta, 40_000, 0.6))
    assert fitted.anchor is not None
    assert fitted.anchor[0] == pytest.approx(-0.25, abs=4 * fitted.anchor[1]) and fitted.anchor[1] < 0.03


def test_davidson_expects_the_ties_and_points_of_springall() -> None:
    """Springall's (1973) counts of nine drinks: the likelihood equations say that what is expected is what happened."""
    with real_votes.file("springall_flavour.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    outcome_of = {"win": "first", "loss": "second", "tie": "tie"}
    tally = Tally.of_cells(
        Cell(row["row"], row["col"], outcome, float(row[column]))
        for row in rows
        for column, outcome in outcome_of.items()
    )
    fitted, met = outcomes.fit(DAVIDSON, tally), tally.pairs()
    expected = met.battles * np.exp(
        log_chances(DAVIDSON, fitted.theta[met.first], fitted.theta[met.second], fitted.tie)
    )
    assert expected[Outcome.TIE].sum() == pytest.approx(met.tied.sum(), abs=1e-8)
    points = expected[Outcome.FIRST] + expected[Outcome.TIE] / 2
    balance = np.bincount(met.first, points - met.points, 9) - np.bincount(met.second, points - met.points, 9)
    assert np.abs(balance).max() < 1e-8
    kept = outcomes.fit(RAO_KUPPER, tally)
    assert kept.tie is not None and kept.tie > 0 and np.corrcoef(kept.theta, fitted.theta)[0, 1] > 0.999


def tally_of(*cells: tuple[str, str, str, float]) -> Tally:
    return Tally.of_cells([Cell(*cell) for cell in cells])


BALANCED = (("a", "b", "first", 3.0), ("a", "b", "second", 2.0), ("b", "c", "first", 4.0), ("b", "c", "second", 1.0))


@pytest.mark.parametrize(
    ("law", "cells", "why"),
    [
        (HALF_WIN, (("a", "b", "first", 3.0),), "not strongly connected"),
        (HALF_WIN, (*BALANCED, ("c", "d", "first", 1.0)), "not strongly connected"),
        (DROP, (("a", "b", "tie", 3.0), ("a", "b", "first", 1.0)), "not strongly connected"),
        (DAVIDSON, BALANCED, "no ties"),
        (RAO_KUPPER, BALANCED, "no ties"),
        (DAVIDSON, (("a", "b", "tie", 3.0),), "only ties"),
        (GROUNDED_RAO_KUPPER, (*BALANCED, ("a", "b", "tie", 1.0)), "both bad"),
        (DAVIDSON, (("a", "b", "tie", 3.0), ("a", "b", "first", 1.0)), "without a maximum"),
    ],
)
def test_no_estimate_is_refused_with_its_reason(
    law: Law, cells: tuple[tuple[str, str, str, float], ...], why: str
) -> None:
    with pytest.raises(NoEstimate, match=why):
        outcomes.fit(law, tally_of(*cells))


def test_a_model_that_only_ties_has_an_estimate_under_every_law_with_ties() -> None:
    cells = (*BALANCED, ("c", "d", "tie", 2.0), ("a", "b", "tie", 2.0))
    for law in (HALF_WIN, DAVIDSON, RAO_KUPPER):
        fitted = outcomes.fit(law, tally_of(*cells))
        assert fitted.theta[3] == pytest.approx(fitted.theta[2], abs=1e-8) and np.isfinite(fitted.sandwich).all()
