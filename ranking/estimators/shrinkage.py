"""Boards of categories, thin ones drawn towards the overall board: hierarchical Bradley-Terry by empirical Bayes. No Django.

theta_mk = theta_m + delta_mk, delta_mk ~ N(0, tau^2) over the models that category k can rank, summing to zero there (the gauge).
A category's own fit less the overall one is d_k ~ N(delta_k, S_k) with S_k = V_k - V: its own covariance less the overall
fit's, because the category's votes are among all votes (Hausman 1978); eigenvalues are at least a hundredth of V_k's mean.

tau is one number for all categories. Its marginal likelihood, the product over categories of N(d_k; 0, tau^2 I + S_k), times a
half-normal prior of scale SCALE is summed on a grid, so intervals hold what is not known about tau and do not collapse where
its best value is 0. Given tau, delta_k is normal: of d_k's part along an eigenvector of S_k (value s), tau^2 / (tau^2 + s) is kept;
a thin category comes out as the overall board, a large one as its own fit. Mean and covariance are those of the mixture.

A model that a category cannot rank (too few votes there, unbeaten, winless, not connected) gets the overall rating, with tau^2
added to its variance, and a label. Shown by tests/ranking/estimators/test_shrinkage.py, coverage included.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ranking.estimators import bradley_terry, sandwich
from ranking.estimators.bradley_terry import NotConverged
from ranking.estimators.connectivity import Standing, ranked_group
from ranking.estimators.tally import Floats, Ints, Tally

SCALE = 0.3  # logits (52 rating points): the prior's scale of tau
GRID = 241
FURTHEST = 6.0  # of the grid, in SCALEs
FLOOR = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A fit of its own: `members` (g,) positions among all models, `theta` (g,) mean zero, `covariance` (g, g)."""

    members: Ints
    theta: Floats
    covariance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """One category: (R,) logits of the overall board's ranked models, in its gauge, and their (R, R) covariance.

    `standing`: of each in the category alone; all but RANKED have the overall rating. `kept`: (R,) the share of the category's
    own difference that the estimate keeps (nan without one). `battles` of the category between these models.
    """

    theta: Floats
    covariance: Floats
    standing: tuple[Standing, ...]
    kept: Floats
    battles: float


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """`members`: (R,) positions of the overall board's ranked models; `tau`: posterior mean, logits; `tau_deviation`."""

    members: Ints
    overall: Estimate
    tau: float
    tau_deviation: float
    categories: dict[str, Shrunk]


def boards(overall: Tally, categories: Mapping[str, Tally], scale: float = SCALE) -> Hierarchy | None:
    """All category boards. `categories`: tallies over the same models, their votes among the overall ones.

    None where no two models can be fitted together overall. Raises ValueError for a category with other models.
    """
    if any(tally.models != overall.models for tally in categories.values()):
        raise ValueError("a category's tally must have the overall tally's models")
    whole = own_fit(overall)
    if whole is None:
        return None
    place = np.full(overall.size, -1)
    place[whole.members] = np.arange(len(whole.members))
    inside = {name: tally.select(whole.members) for name, tally in categories.items()}
    fits = {name: own_fit(tally) for name, tally in inside.items()}
    parts = {name: _Part.of(whole, fit) for name, fit in fits.items() if fit is not None}
    taus, weights = _posterior(list(parts.values()), scale)
    mean = float(weights @ taus)
    shrunk = {name: _shrink(whole, tally, parts.get(name), taus, weights) for name, tally in inside.items()}
    return Hierarchy(whole.members, whole, mean, float(np.sqrt(weights @ (taus - mean) ** 2)), shrunk)


def own_fit(tally: Tally) -> Estimate | None:
    """The ranked group's fit and sandwich; None where there is none."""
    members = ranked_group(tally.pairs()).members
    if not len(members):
        return None
    group = tally.select(members)
    try:
        theta = bradley_terry.fit(group.pairs()).theta
        return Estimate(members, theta, sandwich.battle(group, theta).matrix)
    except NotConverged:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A category's difference from the overall fit in the eigenvectors of S: `vectors` (g, g - 1), `values`, `along` (g - 1,)."""

    members: Ints
    vectors: Floats
    values: Floats
    along: Floats

    @classmethod
    def of(cls, whole: Estimate, own: Estimate) -> "_Part":
        at, g = own.members, len(own.members)
        centre = np.eye(g) - 1 / g
        common = centre @ whole.covariance[np.ix_(at, at)] @ centre
        basis = np.linalg.qr(np.column_stack([np.ones(g), np.eye(g)[:, : g - 1]]))[0][
            :, 1:
        ]  # of the vectors that sum to zero
        values, turned = np.linalg.eigh(basis.T @ (own.covariance - common) @ basis)
        least = FLOOR * float(np.trace(own.covariance)) / (g - 1)
        vectors = basis @ turned
        return cls(at, vectors, np.maximum(values, least), vectors.T @ (own.theta - centre @ whole.theta[at]))


def _posterior(parts: list[_Part], scale: float) -> tuple[Floats, Floats]:
    """Grid of tau and the weights of its points, which sum to 1."""
    taus = np.linspace(0.0, FURTHEST * scale, GRID)
    logs = -0.5 * (taus / scale) ** 2
    for part in parts:
        spread = taus[:, None] ** 2 + part.values
        logs -= 0.5 * (np.log(spread) + part.along**2 / spread).sum(axis=1)
    weights = np.exp(logs - logs.max())
    return taus, weights / weights.sum()


def _shrink(whole: Estimate, tally: Tally, part: _Part | None, taus: Floats, weights: Floats) -> Shrunk:
    theta, covariance = whole.theta.copy(), whole.covariance.copy()
    kept, outside = np.full(len(theta), np.nan), np.ones(len(theta), bool)
    if part is not None:
        shares = taus[:, None] ** 2 / (taus[:, None] ** 2 + part.values)  # (grid, g - 1)
        means = shares * part.along
        mean = weights @ means
        within = np.diag(weights @ (shares * part.values))
        between = (means * weights[:, None]).T @ means - np.outer(mean, mean)
        square = np.ix_(part.members, part.members)
        theta[part.members] += part.vectors @ mean
        covariance[square] += part.vectors @ (within + between) @ part.vectors.T
        kept[part.members] = (part.vectors**2) @ (weights @ shares) / (part.vectors**2).sum(axis=1)
        outside[part.members] = False
    covariance[outside, outside] += weights @ taus**2
    return Shrunk(theta, covariance, _standings(tally, part), kept, tally.total)


def _standings(tally: Tally, part: _Part | None) -> tuple[Standing, ...]:
    found = ranked_group(tally.pairs()).standing
    if part is None:  # no fit, so nobody is ranked in it
        return tuple(Standing.DISCONNECTED if one is Standing.RANKED else one for one in found)
    return found
