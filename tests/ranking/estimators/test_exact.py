"""Real votes: the estimate and its covariance against statsmodels and a peer's published figures, or a stated refusal."""

import json

import numpy as np
import pytest
import statsmodels.api as sm

from ranking.estimators import bootstrap, bradley_terry, connectivity, sandwich
from ranking.estimators.bradley_terry import PER_LOGIT, NoFiniteEstimate, Prior, to_rating
from ranking.estimators.connectivity import Standing
from ranking.estimators.sandwich import VALUES
from ranking.estimators.tally import Pairs, Tally
from tests.ranking import real_votes
from tests.ranking.estimators import paired_files
from tests.ranking.estimators.simulated import even, half_win_tally

WHOLE = ("llmfao_crowd", "llmfao_gpt4", "llmfao_gpt3", "baseball_1987", "springall_flavour", "soundfields")
BROKEN = ("flatlizards", "chameleons")


def glm(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Ratings by statsmodels' binomial regression on points, and its standard errors of differences to the last model."""
    design = np.zeros((len(pairs.first), pairs.size))
    design[np.arange(len(design)), pairs.first], design[np.arange(len(design)), pairs.second] = 1, -1
    points = np.column_stack([pairs.points, pairs.points_against])
    fitted = sm.GLM(points, design[:, :-1], family=sm.families.Binomial()).fit(tol=1e-14, maxiter=300)
    theta = np.append(fitted.params, 0.0)
    return to_rating(theta - theta.mean()), fitted.bse


def reference(name: str, kind: str = "arena_rank_unweighted") -> dict:
    return json.loads(real_votes.file("reference_arena_rank_0.1.1.json").read_text())[name][kind]


@pytest.mark.parametrize("name", WHOLE)
def test_the_estimate_is_that_of_statsmodels_on_every_set_that_has_one(name: str) -> None:
    pairs = paired_files.tally(name).pairs()
    assert connectivity.connected(pairs)
    theta = bradley_terry.fit(pairs).theta
    ratings, bse = glm(pairs)
    assert np.abs(to_rating(theta) - ratings).max() < 1e-6
    inverse = bradley_terry.pseudo_inverse(bradley_terry.information(pairs, theta))
    others, last = np.arange(pairs.size - 1), np.full(pairs.size - 1, pairs.size - 1)
    assert sandwich.Covariance(inverse).se_of_difference(others, last) == pytest.approx(bse, rel=1e-6)


@pytest.mark.parametrize("name", BROKEN)
def test_sets_without_an_estimate_are_refused_and_a_prior_has_to_be_named(name: str) -> None:
    pairs = paired_files.tally(name).pairs()
    with pytest.raises(NoFiniteEstimate):
        bradley_terry.fit(pairs)
    everyone = bradley_terry.fit(pairs, prior=Prior.VIRTUAL_OPPONENT)
    assert np.isfinite(everyone.theta).all() and everyone.prior is Prior.VIRTUAL_OPPONENT


def test_lizards_who_met_once_or_never_have_no_group_at_all() -> None:
    group = connectivity.ranked_group(paired_files.tally("flatlizards").pairs())
    assert not len(group.members) and set(group.standing) == {Standing.DISCONNECTED}


def test_chameleons_have_a_group_that_is_fitted_and_labels_for_the_others() -> None:
    tally = paired_files.tally("chameleons")
    group = connectivity.ranked_group(tally.pairs())
    inner = tally.select(group.members).pairs()
    assert 2 < len(group.members) < tally.size
    assert {Standing.RANKED, Standing.UNBEATEN, Standing.WINLESS} <= set(group.standing)
    assert np.abs(to_rating(bradley_terry.fit(inner).theta) - glm(inner)[0]).max() < 1e-6


@pytest.mark.parametrize("name", ["llmfao_crowd", "llmfao_gpt4"])
def test_ratings_are_the_peer_s_when_it_converges(name: str) -> None:
    expected, tally = reference(name), paired_files.tally(name)
    assert list(tally.models) == expected["competitors"]
    rating = to_rating(bradley_terry.fit(tally.pairs()).theta)
    assert np.abs(rating - expected["ratings_tight"]).max() < 1e-6
    assert np.abs(rating - expected["ratings_exact_newton_mean1000"]).max() < 1e-6


def weighted(tally: Tally, floor: float) -> Tally:
    """The peer's reweighting: every battle counts 1 / max(battles of its pair, floor)."""
    keys = tally.first * tally.size + tally.second
    met, place = np.unique(keys, return_inverse=True)
    each = 1 / np.maximum(np.bincount(place, tally.count, len(met)), floor)[place]
    columns = tally.first, tally.second, tally.first_was_a, tally.outcome
    return Tally(tally.models, *columns, tally.count, tally.count * each, tally.count * each**2)


@pytest.mark.parametrize("name", ["llmfao_crowd", "llmfao_gpt4"])
@pytest.mark.parametrize("kind", ["arena_rank_unweighted", "arena_rank_reweighted"])
def test_the_sandwich_is_the_peer_s_when_its_ridge_is_copied(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ridge: 1e-5, times the battles where it does not reweight. Without it ours differs by less than the ridge does."""
    expected, tally = reference(name, kind), weighted(paired_files.tally(name), 50.0)
    reweighted = kind.endswith("_reweighted")
    theta = bradley_terry.fit(tally.pairs(reweighted)).theta
    assert np.abs(to_rating(theta) - expected["ratings_tight"]).max() < 1e-6
    plain = sandwich.battle(tally, theta, reweighted)
    ridge = 1e-5 * (1.0 if reweighted else tally.total) * np.eye(tally.size)
    monkeypatch.setattr(sandwich, "pseudo_inverse", lambda matrix: np.linalg.inv(matrix + ridge))
    same = PER_LOGIT * 1.959963984540054 * sandwich.battle(tally, theta, reweighted).se
    half = (np.array(expected["rating_upper_tight"]) - expected["rating_lower_tight"]) / 2
    assert np.abs(same - half).max() < 1e-6
    assert (plain.se * PER_LOGIT * 1.959963984540054 >= half - 1e-6).all()  # a ridge only narrows


@pytest.mark.parametrize("name", ["llmfao_crowd", "synthetic"])
def test_half_widths_of_a_thousand_replicates_are_those_of_the_sandwich(name: str) -> None:
    if name == "synthetic":
        rng = np.random.default_rng(5)
        tally = half_win_tally(rng, rng.normal(0, 0.8, 30), even(30, 100))
    else:
        tally = paired_files.tally(name)
    theta = bradley_terry.fit(tally.pairs()).theta
    made = bootstrap.multinomial(tally.pairs(), theta, seed=1)
    lower, upper = bootstrap.percentiles(made.thetas)
    ratio = (upper - lower) / 2 / (1.959963984540054 * sandwich.battle(tally, theta).se)
    assert made.helped == 0
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.abs(ratio - 1).max() < 0.15


def test_values_follow_the_outcomes() -> None:
    pairs = Tally.of_battles("ab", [0] * 4, [1] * 4, [0, 1, 2, 3]).pairs()
    assert pairs.points.tolist() == [VALUES.sum()]
