"""Named priors: the penalised maximum by a general optimiser, finite where no estimate is, and less biased with Firth's."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from ranking.estimators import bradley_terry, priors
from ranking.estimators.bradley_terry import NoFiniteEstimate, information
from ranking.estimators.priors import Weak
from ranking.estimators.tally import Pairs
from tests.ranking import real_votes
from tests.ranking.estimators import law_battles, simulated


def penalised(pairs: Pairs, free: np.ndarray) -> float:
    """Minus the log-likelihood less half the log determinant of the information of (theta - the last one)."""
    theta = np.append(free, 0.0)
    gap = theta[pairs.first] - theta[pairs.second]
    likelihood = -(pairs.points @ np.logaddexp(0, -gap) + pairs.points_against @ np.logaddexp(0, gap))
    return float(-likelihood - np.linalg.slogdet(information(pairs, theta)[:-1, :-1])[1] / 2)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(3, 5), st.booleans())
def test_firth_is_the_maximum_with_jeffreys_prior(seed: int, k: int, unbeaten: bool) -> None:
    pairs = law_battles.ring(seed, k, most=2).pairs()
    if unbeaten:
        own = pairs.first == 0
        pairs = replace(pairs, **{n: np.where(own, 0.0, getattr(pairs, n)) for n in ("lost", "tied", "both_bad")})
        with pytest.raises(NoFiniteEstimate):
            bradley_terry.fit(pairs)
    best = np.append(
        minimize(lambda p: penalised(pairs, p), np.zeros(k - 1), method="BFGS", options={"gtol": 1e-8}).x, 0
    )
    found = priors.fit(pairs, Weak.FIRTH)
    assert np.allclose(found.theta, best - best.mean(), atol=1e-5)
    assert found.added == pytest.approx(k - 1) and found.prior is Weak.FIRTH


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_half_a_battle_is_that_of_the_bootstrap_and_fades(seed: int) -> None:
    pairs = law_battles.ring(seed, 4).pairs()
    found = priors.fit(pairs, Weak.HALF_BATTLE)
    assert np.allclose(found.theta, bradley_terry.fit(replace(pairs, tied=pairs.tied + 0.5)).theta, atol=1e-12)
    assert found.added == len(pairs.first) / 2
    many = replace(pairs, **{n: getattr(pairs, n) * 1e6 for n in ("won", "lost", "tied", "both_bad")})
    for prior in Weak:
        assert np.allclose(priors.fit(many, prior).theta, bradley_terry.fit(many).theta, atol=1e-4)


def test_firth_takes_away_bias() -> None:
    """Mean over boards of 12 battles per pair; the plain estimate is too far out, and often does not exist."""
    rng, theta = np.random.default_rng(1), np.array([1.0, 0.3, -0.3, -1.0])
    errors: dict[str, list[np.ndarray]] = {"plain": [], "firth": []}
    for _board in range(300):
        pairs = simulated.davidson(rng, theta, simulated.even(4, 12), nu=1e-9)
        try:
            errors["plain"].append(bradley_terry.fit(pairs).theta - theta)
        except NoFiniteEstimate:
            continue
        errors["firth"].append(priors.fit(pairs, Weak.FIRTH).theta - theta)
    plain, firth = (np.mean(errors[name], axis=0) @ np.sign(theta) / 4 for name in ("plain", "firth"))
    assert plain > 0.02 and abs(firth) < 0.5 * plain


@pytest.mark.parametrize("name", ["flatlizards.csv", "chameleons.csv"])
def test_real_contests_without_an_estimate_have_one_under_each_prior(name: str) -> None:
    """Lizards and chameleons that won or lost every contest: among those whom contests join, the ends are theirs."""
    with real_votes.file(name).open() as stream:
        rows = [(row["winner"], row["loser"]) for row in csv.DictReader(stream)]
    place = {animal: n for n, animal in enumerate(sorted({one for row in rows for one in row}))}
    wins = np.zeros((len(place), len(place)))
    for winner, loser in rows:
        wins[place[winner], place[loser]] += 1
    _count, component = connected_components(wins, directed=False)
    joined = np.flatnonzero(component == np.bincount(component).argmax())
    wins = wins[np.ix_(joined, joined)]
    pairs = simulated.pairs_of(wins)
    with pytest.raises(NoFiniteEstimate):
        bradley_terry.fit(pairs)
    unbeaten, winless = wins.sum(axis=0) == 0, wins.sum(axis=1) == 0
    assert unbeaten.any() and winless.any()
    for prior in Weak:
        theta = priors.fit(pairs, prior).theta
        assert np.isfinite(theta).all()
        assert np.median(theta[unbeaten]) > np.median(theta[winless]) + 1
        assert np.argmax(theta) in np.flatnonzero(unbeaten) and np.argmin(theta) in np.flatnonzero(winless)


def test_models_that_never_met_stay_refused() -> None:
    pairs = Pairs(4, np.array([0, 2]), np.array([1, 3]), np.ones(2), np.ones(2), np.zeros(2), np.zeros(2))
    for prior in Weak:
        with pytest.raises(NoFiniteEstimate):
            priors.fit(pairs, prior)
