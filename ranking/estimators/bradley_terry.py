"""Bradley-Terry by maximum likelihood: one model or thousands of resamples of it, iterated together.

P(i beats j) = 1 / (1 + exp(theta_j - theta_i)). A tie is half a win for each side. The gauge is sum(theta) = 0, shown as
1000 + 400 / ln(10) * theta. Pure numpy, no Django.

Existence (Ford 1957): the estimate is finite and unique if and only if the graph with an edge i -> j wherever i took
points from j is strongly connected. `ranked_group` finds the largest such group; a model outside it never met the
group, or took every point from it, or none. Its own estimate is then infinite or meaningless, while the estimate inside the
group is exactly the limit of the whole likelihood, so the group is what gets fitted and the others are labelled.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ranking.method import CENTRE, SCALE

Floats = NDArray[np.float64]

PER_LOGIT = SCALE / np.log(10.0)
TOLERANCE = 1e-10
MAX_ITERATIONS = 200


class NotConverged(ArithmeticError):
    """Newton did not settle: the counts are not strongly connected, or not finite."""


class Standing(StrEnum):
    """Why a model has a rating, or why it cannot have one yet."""

    RANKED = "ranked"
    UNBEATEN = "unbeaten"
    WINLESS = "winless"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Group:
    """`members`: sorted positions of the models that can be fitted together; `standing`: one label per model."""

    members: NDArray[np.intp]
    standing: tuple[Standing, ...]


def to_rating(theta: Floats) -> Floats:
    """Logits in the mean-zero gauge -> rating points (1000 is the mean, 400 points are odds of 10 : 1)."""
    return CENTRE + PER_LOGIT * theta


def reachable(edges: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """(..., K, K) adjacency -> (..., K): which nodes a walk from `start` reaches; all graphs walk together."""
    seen = np.zeros(edges.shape[:-1], dtype=bool)
    seen[..., start] = True
    links = edges.astype(np.float32)
    while True:
        step = (seen.astype(np.float32)[..., None, :] @ links)[..., 0, :] > 0
        grown = seen | step
        if np.array_equal(grown, seen):
            return seen
        seen = grown


def strongly_connected(wins: Floats) -> NDArray[np.bool_]:
    """(..., K, K) points taken by row from column -> (...): does a finite estimate exist?"""
    edges = wins > 0
    return np.asarray((reachable(edges, 0) & reachable(np.swapaxes(edges, -1, -2), 0)).all(axis=-1))


def ranked_group(wins: Floats) -> Group:
    """The largest strongly connected group of models (then: with most battles, then: first), and everybody's label."""
    edges, k = wins > 0, len(wins)
    played = (wins + wins.T).sum(axis=1)
    remaining, best = set(range(k)), np.empty(0, dtype=np.intp)
    best_size: tuple[int, float] = (0, 0.0)
    while remaining:
        node = min(remaining)
        members = np.flatnonzero(reachable(edges, node) & reachable(edges.T, node))
        remaining -= set(members.tolist())
        size = (len(members), float(played[members].sum()))
        if len(members) > 1 and size > best_size:
            best, best_size = members, size
    return Group(best, _standings(edges, best))


def _standings(edges: NDArray[np.bool_], members: NDArray[np.intp]) -> tuple[Standing, ...]:
    """Above the group = a path of wins leads into it; below = a path of wins leads out of it; never both."""
    if not len(members):
        return tuple(Standing.DISCONNECTED for _ in edges)
    start = int(members[0])
    below, above = reachable(edges, start), reachable(edges.T, start)
    labels = []
    for over, under in zip(above.tolist(), below.tolist(), strict=True):
        if over and under:
            labels.append(Standing.RANKED)
        else:
            labels.append(Standing.UNBEATEN if over else Standing.WINLESS if under else Standing.DISCONNECTED)
    return tuple(labels)


def fit(wins: Floats) -> Floats:
    """(K, K) points taken by row from column -> (K,) theta with mean zero. Raises NotConverged."""
    return fit_many(wins[None])[0]


def fit_many(wins: Floats, start: Floats | None = None, tolerance: float = TOLERANCE) -> Floats:
    """(B, K, K) points -> (B, K) theta, each row with mean zero. Raises NotConverged.

    Newton with the step length log(1 + r) / r, r being the range of the Newton step: the logistic likelihood is generalised
    self-concordant, so this rises at every step from any start and becomes the full step near the optimum (Sun and
    Tran-Dinh 2019, nu = 2). Stops when no theta moves by more than `tolerance` logits (relative beyond 1).
    """
    size, k, _ = wins.shape
    theta = np.tile(np.zeros(k) if start is None else start, (size, 1))
    open_rows = np.arange(size)
    for _round in range(MAX_ITERATIONS):
        step = _newton_step(wins[open_rows], theta[open_rows])
        spread = step.max(axis=1) - step.min(axis=1)
        length = np.where(spread > 1e-8, np.log1p(spread) / np.maximum(spread, 1e-8), 1.0)
        theta[open_rows] += length[:, None] * step
        moved = np.abs(step).max(axis=1)
        open_rows = open_rows[~(moved <= tolerance * np.maximum(1.0, np.abs(theta[open_rows]).max(axis=1)))]
        if not len(open_rows):
            return np.asarray(theta - theta.mean(axis=1, keepdims=True))
    raise NotConverged(f"{len(open_rows)} of {size} fits did not converge in {MAX_ITERATIONS} Newton steps")


def _newton_step(wins: Floats, theta: Floats) -> Floats:
    """The gradient is summed as w_ij p_ji - w_ji p_ij, which stays exact where a win is almost certain."""
    chance = 1.0 / (1.0 + np.exp(np.clip(theta[:, None, :] - theta[:, :, None], -700.0, 700.0)))
    unchance = np.swapaxes(chance, 1, 2)
    taken = wins * unchance
    gradient = (taken - np.swapaxes(taken, 1, 2)).sum(axis=2)
    weight = (wins + np.swapaxes(wins, 1, 2)) * chance * unchance
    degree = weight.sum(axis=2)
    k = theta.shape[1]
    hessian = degree.mean(axis=1)[:, None, None] / k - weight  # the constant pins the gauge: the null vector is 1
    diagonal = np.arange(k)
    hessian[:, diagonal, diagonal] += degree
    try:
        return np.asarray(np.linalg.solve(hessian, gradient[..., None])[..., 0])
    except np.linalg.LinAlgError:
        raise NotConverged("singular information: the counts are not strongly connected") from None
