"""Category boards: thin ones are the overall board, large ones their own, and intervals cover in between."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from ranking.estimators import shrinkage
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
    own = shrinkage.own_fit(categories["c0"])
    assert own is not None and np.abs(found.categories["c0"].theta - own.theta).max() < 0.002
    assert np.abs(own.theta - found.overall.theta).max() > 0.1
    thin, alone = found.categories["c2"], shrinkage.own_fit(categories["c2"])
    assert alone is not None
    moved, wanted = thin.theta - found.overall.theta, alone.theta - found.overall.theta[alone.members]
    assert np.linalg.norm(moved) < 0.5 * np.linalg.norm(wanted)
    assert np.all(found.categories["c0"].kept > 0.99) and np.nanmax(thin.kept) < 0.5
    assert np.all(np.diag(thin.covariance) > np.diag(found.categories["c0"].covariance))


def test_equal_categories_pool_and_estimates_beat_both_extremes() -> None:
    rng, errors = np.random.default_rng(2), {"shrunk": [], "own": [], "overall": []}
    for _board in range(40):
        truth, overall, categories = simulate(rng, [300] * 6, 0.3)
        found = shrinkage.boards(overall, categories)
        assert found is not None
        for n, (name, tally) in enumerate(categories.items()):
            own = shrinkage.own_fit(tally)
            assert own is not None
            errors["shrunk"].append(found.categories[name].theta - truth[n])
            errors["own"].append(own.theta - truth[n])
            errors["overall"].append(found.overall.theta - truth[n])
    rms = {name: np.sqrt(np.mean(np.square(rows))) for name, rows in errors.items()}
    assert rms["shrunk"] < 0.9 * min(rms["own"], rms["overall"])
    _truth, overall, categories = simulate(rng, [3_000] * 6, 0.0)
    same = shrinkage.boards(overall, categories)
    assert same is not None and same.tau < 0.08
    assert max(np.abs(one.theta - same.overall.theta).max() for one in same.categories.values()) < 0.1


@pytest.mark.parametrize(("tau", "votes"), [(0.0, 200), (0.3, 200), (0.3, 1_000), (0.6, 400)])
def test_intervals_after_shrinkage_cover(tau: float, votes: int) -> None:
    """At least 95 % less 3 standard errors of a mean over boards; near 100 % where categories do not differ at all."""
    rng, inside = np.random.default_rng(3), []
    for _board in range(60):
        truth, overall, categories = simulate(rng, [votes] * 8, tau)
        found = shrinkage.boards(overall, categories)
        assert found is not None and len(found.members) == SIZE
        for n, one in enumerate(found.categories.values()):
            inside.append((np.abs(one.theta - truth[n]) < 1.96 * np.sqrt(np.diag(one.covariance))).mean())
    assert np.mean(inside) > 0.95 - 3 * np.std(inside) / np.sqrt(len(inside)) - 0.005


def test_the_posterior_is_that_of_a_direct_computation() -> None:
    """The same model without eigenvectors: dense normals at each tau of the grid."""
    _truth, overall, categories = simulate(np.random.default_rng(4), [500, 200, 100], 0.4)
    found = shrinkage.boards(overall, categories)
    assert found is not None
    whole = found.overall
    taus = np.linspace(0, shrinkage.FURTHEST * shrinkage.SCALE, shrinkage.GRID)
    logs, drop = -0.5 * (taus / shrinkage.SCALE) ** 2, np.eye(SIZE)[:-1] - np.eye(SIZE)[-1]
    own = {name: shrinkage.own_fit(tally) for name, tally in categories.items()}
    assert all(one is not None and len(one.members) == SIZE for one in own.values())
    for one in own.values():
        spread, difference = one.covariance - whole.covariance, drop @ (one.theta - whole.theta)
        assert np.linalg.eigvalsh(drop @ spread @ drop.T).min() > 0
        for n, tau in enumerate(taus):
            logs[n] += multivariate_normal.logpdf(difference, cov=drop @ (spread + tau**2 * np.eye(SIZE)) @ drop.T)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    assert found.tau == pytest.approx(weights @ taus, rel=1e-6)
    one, spread = own["c1"], own["c1"].covariance - whole.covariance
    inverse = [drop.T @ np.linalg.inv(drop @ (spread + t**2 * np.eye(SIZE)) @ drop.T) @ drop for t in taus]
    centre = np.eye(SIZE) - 1 / SIZE
    means = np.array([t**2 * centre @ at @ (one.theta - whole.theta) for t, at in zip(taus, inverse, strict=True)])
    inner = [t**2 * centre - t**4 * centre @ at @ centre for t, at in zip(taus, inverse, strict=True)]
    mean = weights @ means
    covariance = (
        np.einsum("t,tij->ij", weights, np.array(inner)) + (means * weights[:, None]).T @ means - np.outer(mean, mean)
    )
    assert np.allclose(found.categories["c1"].theta, whole.theta + mean, atol=1e-8)
    assert np.allclose(found.categories["c1"].covariance, whole.covariance + covariance, atol=1e-8)


def test_models_that_a_category_cannot_rank_have_the_overall_rating_and_a_wider_interval() -> None:
    rng = np.random.default_rng(5)
    _truth, overall, categories = simulate(rng, [2_000, 2_000], 0.3)
    part = categories["c0"]
    kept = (part.first != 5) & (part.second != 5)
    columns = ("first", "second", "first_was_a", "outcome", "count", "inverse_p", "inverse_p2")
    without = Tally(part.models, *(getattr(part, name)[kept] for name in columns))
    nobody = Tally.of_battles(part.models, [0], [1], [0])
    found = shrinkage.boards(overall, {"c0": without, "c1": categories["c1"], "one": nobody})
    assert found is not None
    one = found.categories["c0"]
    assert one.standing == (*[Standing.RANKED] * 5, Standing.DISCONNECTED)
    assert one.theta[5] == found.overall.theta[5] and np.isnan(one.kept[5])
    tau2 = found.tau**2 + found.tau_deviation**2
    assert one.covariance[5, 5] == pytest.approx(found.overall.covariance[5, 5] + tau2)
    empty = found.categories["one"]
    assert np.array_equal(empty.theta, found.overall.theta) and Standing.RANKED not in empty.standing
    assert np.allclose(np.diag(empty.covariance - found.overall.covariance), tau2) and empty.battles == 1


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
