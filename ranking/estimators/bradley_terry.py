"""Bradley-Terry by maximum likelihood (Chatbot Arena, arXiv 2403.04132, section 4). Pure numpy and scipy, no Django.

P(i beats j) = 1 / (1 + exp(theta_j - theta_i)). A tie is half a win for each side, and "both bad" is a tie. The gauge is
sum(theta) = 0, shown as 1000 + 400 / ln(10) * theta.

The estimate is Newton's method on the pairs that have met. Where no finite estimate exists (`connectivity`) it is refused, unless
the caller names a prior. Kept from the paper: the model and its reweighting (`Tally.pairs(reweighted=True)`). Different: no
ridge and no pinned model. Shown by tests/ranking/estimators/test_bradley_terry.py and test_exact.py.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ranking.estimators import connectivity
from ranking.estimators.tally import Floats, Ints, Pairs
from ranking.method import CENTRE, PRIOR_BATTLES, SCALE

PER_LOGIT = SCALE / np.log(10.0)
TOLERANCE = 1e-10
MAX_ITERATIONS = 200


class NotConverged(ArithmeticError):
    """Newton did not settle: the counts are so lopsided that no float can tell, or not finite."""


class NoFiniteEstimate(NotConverged):
    """The counts are not strongly connected: some model is unbeaten, winless or apart."""


class Prior(StrEnum):
    """Weak priors, for callers who want a figure for every model; never used unless named."""

    VIRTUAL_OPPONENT = "virtual_opponent"  # each model ties PRIOR_BATTLES battles with one virtual model


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`theta`: (K,) logits with mean zero; `iterations` of Newton; `prior`: what was added to the votes, if anything."""

    theta: Floats
    iterations: int
    prior: Prior | None = None


def to_rating(theta: Floats) -> Floats:
    """Logits in the mean-zero gauge -> rating points (1000 is the mean, 400 points are odds of 10 : 1)."""
    return CENTRE + PER_LOGIT * theta


def fit(pairs: Pairs, start: Floats | None = None, prior: Prior | None = None, tolerance: float = TOLERANCE) -> Fit:
    """The estimate of all models of `pairs`. `start`: (K,) where to begin, such as the last estimate.

    Raises NoFiniteEstimate where there is none and no prior was named, NotConverged where floats do not suffice.
    """
    if prior is Prior.VIRTUAL_OPPONENT:
        begin = None if start is None else np.append(start, start.mean())
        whole = fit(_with_opponent(pairs), begin, None, tolerance)
        return Fit(whole.theta[:-1] - whole.theta[:-1].mean(), whole.iterations, prior)
    if pairs.size < 2:
        return Fit(np.zeros(pairs.size), 0)
    if not connectivity.connected(pairs):
        raise NoFiniteEstimate("not strongly connected: a model is unbeaten, winless or apart from the others")
    begin = np.zeros(pairs.size) if start is None else start
    return Fit(*newton(pairs.first, pairs.second, pairs.points, pairs.points_against, begin, tolerance))


def newton(
    first: Ints, second: Ints, up: Floats, down: Floats, start: Floats, tolerance: float = TOLERANCE
) -> tuple[Floats, int]:
    """(K,) theta with mean zero and the iterations, from (P,) points `up` of `first` and `down` of `second`.

    The step length is log(1 + r) / r, r being the furthest that the Newton step moves the logit of a pair that has met: along it
    the logistic likelihood is generalised self-concordant, so this rises at every step from any start and becomes the full step
    near the optimum (Sun and Tran-Dinh 2019, nu = 2). Stops when no theta moves by more than `tolerance` logits (relative
    beyond 1).
    """
    theta = np.array(start, float)
    for iteration in range(1, MAX_ITERATIONS + 1):
        step = _newton_step(first, second, up, down, theta)
        reach = float(np.abs(step[first] - step[second]).max())
        theta += (np.log1p(reach) / reach if reach > 1e-8 else 1.0) * step
        if np.abs(step).max() <= tolerance * max(1.0, float(np.abs(theta).max())):
            return theta - theta.mean(), iteration
    raise NotConverged(f"no convergence in {MAX_ITERATIONS} Newton steps")


def chances(first: Ints, second: Ints, theta: Floats) -> tuple[Floats, Floats]:
    """(P,) probabilities that `first` beats `second`, and that it does not; each exact where it is tiny."""
    gap = np.clip(theta[first] - theta[second], -700.0, 700.0)
    return 1.0 / (1.0 + np.exp(-gap)), 1.0 / (1.0 + np.exp(gap))


def _newton_step(first: Ints, second: Ints, up: Floats, down: Floats, theta: Floats) -> Floats:
    """The gradient is summed as up * q - down * p, which stays exact where a win is almost certain."""
    size, (p, q) = len(theta), chances(first, second, theta)
    score = up * q - down * p
    gradient = np.bincount(first, score, size) - np.bincount(second, score, size)
    try:
        return np.asarray(cho_solve(_factor(laplacian(size, first, second, (up + down) * p * q)), gradient))
    except (LinAlgError, ValueError):  # not positive definite, or not finite
        raise NotConverged("singular information: the counts are too lopsided for floating point") from None


def laplacian(size: int, first: Ints, second: Ints, weight: Floats) -> Floats:
    """(K, K) sum over pairs of weight * (e_first - e_second)(e_first - e_second)^T; each pair at most once."""
    made = np.zeros((size, size))
    made[first, second] = made[second, first] = -weight
    made[np.arange(size), np.arange(size)] = np.bincount(first, weight, size) + np.bincount(second, weight, size)
    return made


def information(pairs: Pairs, theta: Floats) -> Floats:
    """(K, K) Hessian of the negative log-likelihood; its null vector is 1."""
    p, q = chances(pairs.first, pairs.second, theta)
    return laplacian(pairs.size, pairs.first, pairs.second, pairs.battles * p * q)


def pseudo_inverse(matrix: Floats) -> Floats:
    """(K, K) of a connected Laplacian, in the mean-zero gauge, by Cholesky: (H + c 11')^-1 - 11' / (c K^2).

    Raises NotConverged for a Laplacian of a graph that is not connected.
    """
    size = len(matrix)
    try:
        inverse = cho_solve(_factor(matrix), np.eye(size))
    except (LinAlgError, ValueError):
        raise NotConverged("singular information: the pairs do not connect the models") from None
    return np.asarray(inverse - 1.0 / (_pin(matrix) * size * size))


def _factor(matrix: Floats) -> tuple[Floats, bool]:
    """Cholesky of H + c 11': the constant pins the gauge and leaves the step in the mean-zero space as it is."""
    factor: tuple[Floats, bool] = cho_factor(matrix + _pin(matrix), overwrite_a=True)
    return factor


def _pin(matrix: Floats) -> float:
    return float(np.trace(matrix)) / len(matrix) ** 2


def _with_opponent(pairs: Pairs) -> Pairs:
    """One more model, the last, that has tied PRIOR_BATTLES battles with each of the others: always connected."""
    size, nothing = pairs.size, np.zeros(pairs.size)
    first, second = np.append(pairs.first, np.arange(size)), np.append(pairs.second, np.full(size, size))
    order = np.lexsort((second, first))
    columns = {
        name: np.append(getattr(pairs, name), extra)[order]
        for name, extra in (
            ("won", nothing),
            ("lost", nothing),
            ("tied", nothing + PRIOR_BATTLES),
            ("both_bad", nothing),
        )
    }
    return replace(pairs, size=size + 1, first=first[order], second=second[order], **columns)
