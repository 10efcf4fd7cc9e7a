"""Category boards: thin ones are the overall board, large ones their own, and intervals cover in between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from ranking.estimators import bradley_terry, shrinkage
from ranking.estimators.connectivity import Standing
from ranking.estimators.half_win import DROP
from ranking.estimators.tally import Tally
from tests.ranking.estimators import law_battles

SIZE = 6


def joined(parts: list[Tally]) -> Tally:
    """All their battles in one tally."""
    columns = [
        np.concatenate([np.repeat(getattr(p, n), p.count.astype(int)) for p in parts]) for n in ("first", "second")
    ]
    outcome = np.concatenate([np.repeat(p.outcome, p.count.astype(int)) for p in parts])
    return Tally.of_battles(parts[0].models, *columns, outcome)


def simulate(rng: np.random.Generator, counts: list[int], tau: float) -> tuple[np.ndarray, Tally, dict[str, Tally]]:
    """(categories, K) true strengths in the gauge, all votes, and votes by category."""
    theta = rng.normal(0, 0.8, SIZE)
    truth = theta + rng.normal(0, tau, (len(counts), SIZE)) if tau else np.tile(theta, (len(counts), 1))
    truth -= truth.mean(axis=1, keepdims=True)
    parts = [law_battles.battles(rng, DROP, one, count) for one, count in zip(truth, counts, strict=True)]
    return truth, joined(parts), {f"c{n}": part for n, part in enumerate(parts)}


def test_a_large_category_is_its_own_fit_and_a_thin_one_the_overall_board() -> None:
    _truth, overall, categories = simulate(np.random.default_rng(1), [400_000, 400_000, 40], 0.4)
    found = shrinkage.boards(overall, categories)
    assert found is not None
    own = bradley_terry.fit(categories["c0"].pairs()).theta
    assert np.abs(found.categories["c0"].theta - own).max() < 0.002 and np.abs(own - found.theta).max() > 0.1
    thin, alone = found.categories["c2"], bradley_terry.fit(categories["c2"].pairs()).theta
    assert np.linalg.norm(thin.theta - found.theta) < 0.5 * np.linalg.norm(alone - found.theta)
    assert np.all(found.categories["c0"].kept > 0.99) and thin.kept.max() < 0.7
    assert np.all(np.diag(thin.covariance) > np.diag(found.categories["c0"].covariance))


def test_equal_categories_pool_and_estimates_beat_both_extremes() -> None:
    rng, errors = np.random.default_rng(2), {"shrunk": [], "own": [], "overall": []}
    for _board in range(40):
        truth, overall, categories = simulate(rng, [300] * 6, 0.3)
        found = shrinkage.boards(overall, categories)
        assert found is not None
        for n, (name, tally) in enumerate(categories.items()):
            own = bradley_terry.fit(tally.pairs())
            errors["shrunk"].append(found.categories[name].theta - truth[n])
            errors["own"].append(own.theta - truth[n])
            errors["overall"].append(found.theta - truth[n])
    rms = {name: np.sqrt(np.mean(np.square(rows))) for name, rows in errors.items()}
    assert rms["shrunk"] < 0.9 * min(rms["own"], rms["overall"])
    _truth, overall, categories = simulate(rng, [3_000] * 6, 0.0)
    same = shrinkage.boards(overall, categories)
    assert same is not None and same.tau < 0.08
    assert max(np.abs(one.theta - same.theta).max() for one in same.categories.values()) < 0.1


@pytest.mark.parametrize(
    ("tau", "votes", "least"), [(0.0, 200, 0.97), (0.3, 200, 0.92), (0.3, 1_000, 0.935), (0.6, 400, 0.93)]
)
def test_intervals_after_shrinkage_cover(tau: float, votes: int, least: float) -> None:
    """95 % less 3 standard errors (.014) and, with 200 votes for six models, what the normal approximation costs (.015)."""
    rng, inside = np.random.default_rng(3), []
    for _board in range(60):
        truth, overall, categories = simulate(rng, [votes] * 8, tau)
        found = shrinkage.boards(overall, categories)
        assert found is not None and len(found.members) == SIZE
        for n, one in enumerate(found.categories.values()):
            inside.append((np.abs(one.theta - truth[n]) < 1.96 * np.sqrt(np.diag(one.covariance))).mean())
    assert np.mean(inside) > least


def test_two_models_against_the_exact_posterior() -> None:
    """One difference, one category: the binomial likelihoods of its votes and of the rest, summed over a grid.

    The quasi-likelihood is normal around its mode, so mean and deviation agree to a few per cent, not exactly.
    """
    rest, inside = (400, 300), (70, 30)
    tally = {
        name: Tally.of_battles("ab", [0] * sum(n), [1] * sum(n), [0] * n[0] + [1] * n[1])
        for name, n in {"all": (470, 330), "c": inside}.items()
    }
    found = shrinkage.boards(tally["all"], {"c": tally["c"]})
    assert found is not None
    overall, delta = np.linspace(-0.6, 1.4, 401), np.linspace(-1.6, 1.8, 401)
    taus = np.linspace(0.005, 1.8, 180)
    log_prior = -0.5 * (taus / shrinkage.SCALE) ** 2
    both = binomial(overall[:, None], *rest) + binomial(overall[:, None] + delta, *inside)
    weight = np.zeros_like(both)
    for tau, prior in zip(
        taus, log_prior, strict=True
    ):  # a difference of two deltas that sum to zero has variance 2 tau^2
        weight += np.exp(both - both.max() - delta**2 / (4 * tau**2) + prior) / tau
    weight /= weight.sum()
    total = overall[:, None] + delta
    mean = (weight * total).sum()
    deviation = np.sqrt((weight * (total - mean) ** 2).sum())
    one = found.categories["c"]
    assert one.theta[0] - one.theta[1] == pytest.approx(mean, abs=0.02)
    ours = np.sqrt(one.covariance[0, 0] + one.covariance[1, 1] - 2 * one.covariance[0, 1])
    assert ours == pytest.approx(deviation, rel=0.08)
    assert found.theta[0] - found.theta[1] < mean < np.log(70 / 30)


def binomial(logit: np.ndarray, won: int, lost: int) -> np.ndarray:
    return -won * np.logaddexp(0, -logit) - lost * np.logaddexp(0, logit)


def test_given_tau_the_estimate_is_the_penalised_maximum() -> None:
    """Without overlap (a category apart from the other votes) and with one tau: a general optimiser finds the same delta."""
    rng = np.random.default_rng(6)
    _truth, overall, categories = simulate(rng, [300, 60_000], 0.4)
    found = shrinkage.boards(overall, categories)
    assert found is not None
    pairs, theta = categories["c0"].pairs(), found.theta
    whole = shrinkage._whole(overall)
    taus, weights = np.array([0.0, found.tau]), np.array([0.0, 1.0])
    at = theta
    for _round in range(30):
        at = theta + shrinkage._part(whole, pairs, shrinkage._rest(whole, pairs), at).mean(taus, weights)

    def loss(free: np.ndarray) -> float:
        delta = np.append(free, -free.sum())
        gap = (theta + delta)[pairs.first] - (theta + delta)[pairs.second]
        likelihood = -(pairs.points @ np.logaddexp(0, -gap) + pairs.points_against @ np.logaddexp(0, gap))
        return float(-likelihood / whole.dispersion + (delta**2).sum() / (2 * found.tau**2))

    best = minimize(loss, np.zeros(SIZE - 1), method="BFGS", options={"gtol": 1e-8}).x
    assert np.abs(best).max() > 0.1
    assert np.allclose(at - theta, np.append(best, -best.sum()), atol=0.01)  # the overlap is one vote in two hundred
    assert 0.5 < whole.dispersion < 1.1


def test_a_category_s_votes_are_among_all_votes_and_vary_as_the_whole_board_s_do() -> None:
    """J^-1 = H_k^-1 - H^-1 (Hausman 1978), over the dispersion; `along` is J times the category's own difference."""
    rng = np.random.default_rng(8)
    a, b = rng.integers(0, 2, 900), rng.integers(2, 4, 900)
    overall = Tally.of_battles("abcd", a, b, rng.integers(0, 3, 900))
    part = Tally.of_battles("abcd", a[:400], b[:400], rng.integers(0, 3, 400))
    whole, pairs = shrinkage._whole(overall), part.pairs()
    found = shrinkage._part(whole, pairs, shrinkage._rest(whole, pairs), whole.theta)
    here = bradley_terry.information(pairs, whole.theta)
    joint = np.linalg.pinv(
        np.linalg.pinv(here, hermitian=True) - np.linalg.pinv(whole.information), hermitian=True, rcond=1e-9
    )
    made = found.vectors @ np.diag(found.values) @ found.vectors.T
    assert np.allclose(made, joint / whole.dispersion, rtol=0.01, atol=0.01 * np.abs(made).max())
    assert 0.5 < whole.dispersion < 0.85, "a third of ties"


def test_the_dispersion_is_pearson_s() -> None:
    """Ten battles of two equals, four tied: squares .25 of six over p q of ten, on nine degrees of freedom."""
    tally = Tally.of_battles("ab", [0] * 10, [1] * 10, [0] * 3 + [1] * 3 + [2] * 4)
    assert shrinkage._whole(tally).dispersion == pytest.approx(6 * 0.25 / (10 * 0.25) * 10 / 9)


def test_models_without_votes_in_a_category_have_the_overall_rating_and_a_wider_interval() -> None:
    _truth, overall, categories = simulate(np.random.default_rng(5), [2_000, 2_000], 0.3)
    part = categories["c0"]
    kept = (part.first != 5) & (part.second != 5)
    columns = ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2")
    without = Tally(part.models, *(getattr(part, name)[kept] for name in columns))
    found = shrinkage.boards(overall, {"c0": without, "c1": categories["c1"]})
    assert found is not None
    one = found.categories["c0"]
    assert one.standing == (*[Standing.RANKED] * 5, Standing.DISCONNECTED)
    tau2 = found.tau**2 + found.tau_deviation**2
    share = np.diag(one.covariance - found.covariance)
    assert share[5] == pytest.approx(tau2 * 5 / 6, rel=0.02) and np.all(share[:5] < 0.4 * share[5])
    level = (one.theta - found.theta)[
        :5
    ].mean()  # nothing says how the others' mean stands to it: the prior splits the sum
    assert one.theta[5] - found.theta[5] == pytest.approx(-5 * level, abs=1e-9) and abs(level) < 0.02
    empty = shrinkage.boards(overall, {"none": Tally.of_battles(part.models, [], [], [])})
    assert empty is not None and np.allclose(empty.categories["none"].theta, empty.theta, atol=1e-12)
    assert Standing.RANKED not in empty.categories["none"].standing and empty.categories["none"].kept.max() < 1e-9


def test_an_unbeaten_model_is_drawn_up_and_stays_finite() -> None:
    _truth, overall, _categories = simulate(np.random.default_rng(7), [3_000], 0.0)
    unbeaten = Tally.of_battles(overall.models, [2] * 40 + [0, 1] * 4, [0, 1, 3, 4] * 10 + [1, 0] * 4, [0] * 48)
    joint = joined([overall, unbeaten])
    found = shrinkage.boards(joint, {"c": unbeaten})
    assert found is not None
    one = found.categories["c"]
    assert one.standing[2] == Standing.UNBEATEN and one.theta[2] > found.theta[2] + 0.05
    assert np.isfinite(one.covariance).all() and one.theta[2] < found.theta[2] + 2


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_names_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _truth, overall, categories = simulate(rng, [300, 200], 0.4)
    moved = rng.permutation(SIZE)

    def renamed(tally: Tally) -> Tally:
        times = tally.count.astype(int)
        sides = [np.repeat(moved[getattr(tally, n)], times) for n in ("first", "second")]
        return Tally.of_battles(tally.models, *sides, np.repeat(tally.outcome, times))

    one = shrinkage.boards(overall, categories)
    other = shrinkage.boards(renamed(overall), {name: renamed(tally) for name, tally in categories.items()})
    assert one is not None and other is not None and len(one.members) == SIZE
    assert other.tau == pytest.approx(one.tau, abs=1e-9)
    for name in categories:
        assert np.allclose(other.categories[name].theta[moved], one.categories[name].theta, atol=1e-8)
        assert np.allclose(
            other.categories[name].covariance[np.ix_(moved, moved)], one.categories[name].covariance, atol=1e-8
        )
        assert one.categories[name].theta.sum() == pytest.approx(0, abs=1e-9)


def test_no_overall_board_and_other_models_are_said() -> None:
    nobody = Tally.of_battles("ab", [0], [1], [0])
    assert shrinkage.boards(nobody, {"c": nobody}) is None
    with pytest.raises(ValueError, match="models"):
        shrinkage.boards(nobody, {"c": Tally.of_battles("abc", [0], [1], [0])})
