"""The drop-k certificate: verified by refits, as small as any choice on tiny boards, quick on large ones, honest otherwise."""

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.estimators import bradley_terry, certificate
from ranking.estimators.bradley_terry import NotConverged
from ranking.estimators.connectivity import ranked_group
from ranking.estimators.tally import Pairs
from tests.ranking import real_votes
from tests.ranking.estimators import law_battles, simulated


def without(pairs: Pairs, removed: tuple[certificate.Removed, ...]) -> Pairs:
    columns = {name: getattr(pairs, name).copy() for name in ("won", "lost", "tied", "both_bad")}
    place = {(int(i), int(j)): n for n, (i, j) in enumerate(zip(pairs.first, pairs.second, strict=True))}
    for one in removed:
        columns[one.outcome][place[one.first, one.second]] -= one.count
    assert all((column >= 0).all() for column in columns.values())
    return replace(pairs, **columns)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(3, 7))
def test_a_certificate_is_confirmed_by_an_exact_refit(seed: int, k: int) -> None:
    pairs = law_battles.ring(seed, k).pairs()
    theta = bradley_terry.fit(pairs).theta
    found = certificate.top(pairs, theta, limit=0.5)
    assert found is not None and found.upper == np.argmax(theta) and found.gap >= 0
    if found.votes is None:
        assert found.share is None and found.removed == () and found.limit == int(0.5 * pairs.battles.sum())
        return
    assert sum(one.count for one in found.removed) == found.votes <= found.limit
    assert found.share == pytest.approx(found.votes / pairs.battles.sum())
    refitted = bradley_terry.fit(without(pairs, found.removed)).theta
    assert refitted[found.upper] < refitted[found.lower]
    assert refitted[found.upper] - refitted[found.lower] == pytest.approx(found.after, abs=1e-8)


def test_what_one_vote_less_does_to_first_order() -> None:
    """Against refits without a thousandth of a vote; "both bad" is a tie."""
    pairs = law_battles.ring(4, 4).pairs()
    theta = bradley_terry.fit(pairs).theta
    bread = bradley_terry.pseudo_inverse(bradley_terry.information(pairs, theta))
    closes = certificate._influence(pairs, theta, bread, 0, 1)
    for kind, points in enumerate(((1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.5, 0.5))):
        up, down = pairs.points.copy(), pairs.points_against.copy()
        up[2], down[2] = up[2] - points[0] / 1000, down[2] - points[1] / 1000
        moved, _rounds = bradley_terry.newton(pairs.first, pairs.second, up, down, theta)
        gap = (theta[0] - theta[1]) - (moved[0] - moved[1])
        assert closes[kind, 2] == pytest.approx(1000 * gap, rel=1e-2, abs=1e-9)


def fewest(pairs: Pairs, upper: int, lower: int, most: int) -> int | None:
    """Every choice of up to `most` votes, refitted exactly."""
    counts = np.stack([pairs.won, pairs.lost, pairs.tied]).ravel()
    choices = [c for c in product(*(range(int(n) + 1) for n in counts)) if 0 < sum(c) <= most]
    for choice in sorted(choices, key=sum):
        won, lost, tied = (counts - choice).reshape(3, -1)
        try:
            theta = bradley_terry.fit(replace(pairs, won=won, lost=lost, tied=tied)).theta
        except NotConverged:
            continue
        if theta[upper] < theta[lower] - 1e-8:
            return sum(choice)
    return None


def test_tiny_boards_against_every_choice() -> None:
    exact, judged = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        won, lost, tied = rng.integers(1, 5, 3), rng.integers(1, 4, 3), rng.integers(0, 2, 3)
        pairs = Pairs(3, np.array([0, 0, 1]), np.array([1, 2, 2]), won * 1.0, lost * 1.0, tied * 1.0, np.zeros(3))
        theta = bradley_terry.fit(pairs).theta
        upper, lower = np.argsort(-theta)[:2]
        if theta[upper] - theta[lower] < 1e-9:
            continue
        found = certificate.between(pairs, theta, int(upper), int(lower), limit=4 / pairs.battles.sum())
        truth = fewest(pairs, int(upper), int(lower), 4)
        judged += 1
        if found.votes is None:
            assert truth is None or truth >= 3
            exact += truth is None
        else:
            assert truth is not None and truth <= found.votes <= truth + 1
            exact += found.votes == truth
    assert judged > 45 and exact >= 0.95 * judged


def test_one_vote_decides_a_board_that_one_vote_made() -> None:
    pairs = Pairs(2, np.array([0]), np.array([1]), np.array([51.0]), np.array([50.0]), np.array([7.0]), np.zeros(1))
    found = certificate.top(pairs, bradley_terry.fit(pairs).theta)
    assert found is not None and found.votes == 2 and found.removed == (certificate.Removed(0, 1, "won", 2),)
    assert found.after == pytest.approx(np.log((49 + 3.5) / (50 + 3.5)))


def test_it_says_when_nothing_was_found() -> None:
    pairs = Pairs(2, np.array([0]), np.array([1]), np.array([90.0]), np.array([10.0]), np.zeros(1), np.zeros(1))
    theta = bradley_terry.fit(pairs).theta
    none = certificate.top(pairs, theta)
    assert none is not None and (none.votes, none.removed, none.limit) == (None, (), 10)
    found = certificate.top(pairs, theta, limit=0.85)
    assert found is not None and found.votes == 81 and found.share == 0.81
    assert certificate.top(replace(pairs, size=1), theta[:1]) is None


def test_votes_that_hold_the_board_together_are_not_a_flip() -> None:
    """Without its two wins the lower model has none: no estimate, so no certificate from them."""
    pairs = Pairs(2, np.array([0]), np.array([1]), np.array([3.0]), np.array([2.0]), np.zeros(1), np.zeros(1))
    found = certificate.top(pairs, bradley_terry.fit(pairs).theta, limit=1.0)
    assert found is not None and found.votes == 2 and found.removed[0].outcome == "won"


def test_real_votes() -> None:
    names, wins, ties = real_votes.outcomes(real_votes.file("llmfao_crowd.csv"))
    pairs = simulated.pairs_of(wins, ties)
    assert len(ranked_group(pairs).members) == len(names)
    theta = bradley_terry.fit(pairs).theta
    found = certificate.top(pairs, theta)
    assert found is not None and found.votes is not None and names[found.upper] == "GPT 4"
    refitted = bradley_terry.fit(without(pairs, found.removed)).theta
    assert refitted[found.upper] < refitted[found.lower]
    order = np.argsort(-theta)
    close = certificate.between(pairs, theta, int(order[10]), int(order[11]))
    assert close.votes is not None and close.votes < found.votes


def test_a_hundred_models_and_a_million_votes_take_a_moment() -> None:
    rng = np.random.default_rng(5)
    theta = rng.normal(0, 0.8, 100)
    pairs = simulated.davidson(rng, theta, simulated.skewed(rng, 100, 1_000_000))
    fitted = bradley_terry.fit(pairs).theta
    begin = time.process_time()
    found = certificate.top(pairs, fitted)
    assert time.process_time() - begin < 4.0  # 0.3 s on an idle core
    assert found is not None and found.limit == 100_000
