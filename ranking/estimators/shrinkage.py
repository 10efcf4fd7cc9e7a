"""Boards of categories, thin ones drawn towards the overall board: hierarchical Bradley-Terry by empirical Bayes. No Django.

theta_mk = theta_m + delta_mk, delta_mk ~ N(0, tau^2), summing to zero over the models (the gauge). The likelihood of a category's
votes around its estimate is taken as normal, with information H_k and the votes' own dispersion (Pearson's: ties make half-win
less variable than coin flips); its distance from the overall board has information J_k = H_k + H_k (H - H_k)^-1 H_k, because the
category's votes are among the H of all votes (so J_k^-1 = H_k^-1 - H^-1, Hausman 1978). The estimate is where the
linearisation stops moving (penalised quasi-likelihood, Breslow and Clayton 1993).

tau is one number for all categories. Its marginal likelihood, the product over the categories of the integrals over delta, times
a half-normal prior of scale SCALE is summed on a grid, so intervals hold what is not known about tau and do not collapse where
its best value is 0. Given tau, of what the category says along an eigenvector of J_k (value j) tau^2 j / (1 + tau^2 j) is kept:
a thin category comes out as the overall board, a large one as its own fit. Mean and covariance are those of the mixture.

A model without votes in the category keeps the overall rating with tau^2 more variance; an unbeaten one is drawn up as far as its
votes say. Both are labelled by their standing in the category alone. Shown by tests/ranking/estimators/test_shrinkage.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ranking.estimators import bradley_terry, sandwich
from ranking.estimators.bradley_terry import NotConverged, chances, information
from ranking.estimators.connectivity import Standing, ranked_group
from ranking.estimators.tally import Floats, Ints, Pairs, Tally

SCALE = 0.3  # logits (52 rating points): the prior's scale of tau
GRID = 241
FURTHEST = 6.0  # of the grid, in SCALEs
OVERLAP = 1e-3  # of H, kept apart from H_k where a category holds all votes
SETTLED = 1e-6  # logits; 2e-4 rating points
MAX_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """One category: (R,) logits of the overall board's ranked models, in its gauge, and their (R, R) covariance.

    `standing`: of each in the category alone, RANKED where it could have a rating of its own there. `kept`: (R,) the share of a
    model's own difference that its estimate keeps, 0 without votes. `battles` of the category between these models.
    """

    theta: Floats
    covariance: Floats
    standing: tuple[Standing, ...]
    kept: Floats
    battles: float


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """`members`: (R,) positions of the overall board's ranked models, whose fit is `theta` (R,) with its sandwich `covariance`;
    `tau`: posterior mean in logits, with its standard deviation; the categories by name."""

    members: Ints
    theta: Floats
    covariance: Floats
    tau: float
    tau_deviation: float
    categories: dict[str, Shrunk]


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """The overall fit: `information` (R, R) and the `dispersion` of its votes."""

    theta: Floats
    covariance: Floats
    information: Floats
    dispersion: float


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A category in the eigenvectors of J: `vectors` (R, R - 1), values j (R - 1,), and J delta `along` them (R - 1,)."""

    vectors: Floats
    values: Floats
    along: Floats

    def mean(self, taus: Floats, weights: Floats) -> Floats:
        """(R,) expected delta."""
        return np.asarray(self.vectors @ (weights @ self.means(taus)))

    def means(self, taus: Floats) -> Floats:
        """(grid, R - 1) along the eigenvectors, given tau."""
        squares = taus[:, None] ** 2
        return np.asarray(squares * self.along / (1 + squares * self.values))


def boards(overall: Tally, categories: Mapping[str, Tally], scale: float = SCALE) -> Hierarchy | None:
    """All category boards. `categories`: tallies over the same models, their votes among the overall ones.

    None where no two models can be fitted together overall. Raises ValueError for a category with other models, NotConverged.
    """
    if any(tally.models != overall.models for tally in categories.values()):
        raise ValueError("a category's tally must have the overall tally's models")
    members = ranked_group(overall.pairs()).members
    if not len(members):
        return None
    whole = _whole(overall.select(members))
    inside = {name: tally.select(members).pairs() for name, tally in categories.items()}
    rest = {name: _rest(whole, pairs) for name, pairs in inside.items()}
    at = dict.fromkeys(inside, whole.theta)
    for _round in range(MAX_ROUNDS):
        parts = {name: _part(whole, pairs, rest[name], at[name]) for name, pairs in inside.items()}
        taus, weights = _posterior(list(parts.values()), scale)
        moved = {name: whole.theta + part.mean(taus, weights) for name, part in parts.items()}
        change = max((float(np.abs(moved[name] - at[name]).max()) for name in at), default=0.0)
        at = moved
        if change <= SETTLED:
            break
    else:
        raise NotConverged(f"category boards still move by {change:.1e} logits after {MAX_ROUNDS} rounds")
    mean = float(weights @ taus)
    shrunk = {name: _shrunk(whole, inside[name], parts[name], taus, weights) for name in parts}
    return Hierarchy(members, whole.theta, whole.covariance, mean, float(np.sqrt(weights @ (taus - mean) ** 2)), shrunk)


def _whole(tally: Tally) -> _Whole:
    pairs = tally.pairs()
    theta = bradley_terry.fit(pairs).theta
    p, q = chances(tally.first, tally.second, theta)
    squared = float(tally.count @ (sandwich.VALUES[tally.outcome] - p) ** 2)
    freedom = max(tally.total - len(theta) + 1, 1.0) / tally.total
    dispersion = squared / float(tally.count @ (p * q)) / freedom
    return _Whole(theta, sandwich.battle(tally, theta).matrix, information(pairs, theta), dispersion)


def _rest(whole: _Whole, pairs: Pairs) -> Floats:
    """(R, R) inverse of the information of the votes outside the category (with a shift of all theta pinned)."""
    rest = (1 + OVERLAP) * whole.information - information(pairs, whole.theta)
    return np.asarray(np.linalg.inv(rest + np.trace(rest) / len(rest) ** 2))


def _part(whole: _Whole, pairs: Pairs, rest: Floats, at: Floats) -> _Part:
    """The category's likelihood, linearised at `at`."""
    size, (p, q) = len(at), chances(pairs.first, pairs.second, at)
    score = pairs.points * q - pairs.points_against * p
    gradient = np.bincount(pairs.first, score, size) - np.bincount(pairs.second, score, size)
    here = information(pairs, at)
    overlap = np.eye(size) + here @ rest
    basis = _sum_zero(size)
    joint = basis.T @ (overlap @ here) @ basis / whole.dispersion
    values, turned = np.linalg.eigh((joint + joint.T) / 2)
    vectors = basis @ turned
    along = vectors.T @ (overlap @ (here @ (at - whole.theta) + gradient)) / whole.dispersion
    return _Part(vectors, np.maximum(values, 0.0), along)


def _sum_zero(size: int) -> Floats:
    """(R, R - 1) orthonormal vectors that sum to zero."""
    return np.asarray(np.linalg.qr(np.column_stack([np.ones(size), np.eye(size)[:, : size - 1]]))[0][:, 1:])


def _posterior(parts: list[_Part], scale: float) -> tuple[Floats, Floats]:
    """Grid of tau and the weights of its points, which sum to 1."""
    taus = np.linspace(0.0, FURTHEST * scale, GRID)
    logs = -0.5 * (taus / scale) ** 2
    for part in parts:
        grown = 1 + taus[:, None] ** 2 * part.values
        logs -= 0.5 * (np.log(grown) - taus[:, None] ** 2 * part.along**2 / grown).sum(axis=1)
    weights = np.exp(logs - logs.max())
    return taus, weights / weights.sum()


def _shrunk(whole: _Whole, pairs: Pairs, part: _Part, taus: Floats, weights: Floats) -> Shrunk:
    squares = taus[:, None] ** 2
    spread = weights @ (squares / (1 + squares * part.values))
    means = part.means(taus)
    mean = weights @ means
    between = (means * weights[:, None]).T @ means - np.outer(mean, mean)
    kept = (part.vectors**2) @ (weights @ (squares * part.values / (1 + squares * part.values)))
    return Shrunk(
        whole.theta + part.vectors @ mean,
        whole.covariance + part.vectors @ (np.diag(spread) + between) @ part.vectors.T,
        ranked_group(pairs).standing,
        kept / (1 - 1 / len(kept)),
        float(pairs.battles.sum()),
    )
