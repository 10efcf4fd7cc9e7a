"""How many more votes would tell two models apart: the variance of a difference as votes are added. Pure numpy, no Django.

The information of n more votes adds to that of the votes at hand: H(n) = H_0 + n H_a, where H_0 is the Bradley-Terry Hessian of
the counts, and H_a that of one vote under an allocation (the probability of each pair to be drawn). The variance of a difference
c = e_i - e_j is phi c' H(n)^-1 c; phi, the dispersion of the half-win score, is below 1 when there are ties (Chatbot Arena,
arXiv 2403.04132, appendix A: the sandwich H^-1 B H^-1 with B = phi H). Kept: their model and its variance. Different: they add
votes one by one and look again; here the future is planned from the present estimate, so the answer is as good as that is.
Test: tests/ranking/estimators/test_planning.py (simulated votes reach the promised power).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit

from ranking.estimators.tally import Floats, Ints

GRID = 100.0 * 2.0 ** np.arange(21)  # votes added: 100 to about 10^8


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Variance (logits squared) of P differences with nothing added, and (P, G) with `GRID` votes added by each allocation."""

    now: Floats
    uniform: Floats
    drawn: Floats | None
    focused: Floats


def dispersion(theta: Floats, wins: Floats, ties: Floats) -> float:
    """phi: squared residuals of the half-win score over their Bradley-Terry expectation; 1 without ties.

    (K,) strengths, (K, K) wins of row over column, (K, K) symmetric ties. Raises ValueError without battles.
    """
    p = expit(theta[:, None] - theta[None, :])
    upper = np.triu_indices(len(theta), 1)
    expected = ((wins + wins.T + ties) * p * (1 - p))[upper].sum()
    if not expected:
        raise ValueError("no battles")
    squares = wins * (1 - p) ** 2 + wins.T * p**2 + ties * (0.5 - p) ** 2
    return float(squares[upper].sum() / expected)


def laplacian(weights: Floats) -> Floats:
    """Of symmetric (K, K) weights, without the last model: differences need no more, and the null space is gone."""
    full = np.diag(weights.sum(axis=1)) - weights
    return np.asarray(full[:-1, :-1])


def curves(theta: Floats, wins: Floats, ties: Floats, drawn: Floats | None, left: Ints, right: Ints) -> Curves:
    """For the pairs (left, right) of a connected group.

    `drawn`: (K, K) symmetric probabilities of the pairs as the sampler draws now; above the diagonal they add up to at most 1
    (the rest goes to models outside). Raises numpy.linalg.LinAlgError when the models are not connected.
    """
    size = len(theta)
    p = expit(theta[:, None] - theta[None, :])
    information = p * (1 - p)
    np.fill_diagonal(information, 0.0)
    phi = dispersion(theta, wins, ties)
    root = cholesky(laplacian((wins + wins.T + ties) * information), lower=True)
    contrast = np.eye(size)[:, left] - np.eye(size)[:, right]
    seen = solve_triangular(root, contrast[:-1], lower=True)  # (K-1, P)
    now = (seen**2).sum(axis=0)
    even = np.full((size, size), 2.0 / (size * (size - 1)))
    return Curves(
        now=phi * now,
        uniform=phi * _along(root, seen, laplacian(even * information)),
        drawn=None if drawn is None else phi * _along(root, seen, laplacian(drawn * information)),
        focused=phi / (1 / now[:, None] + GRID[None, :] * information[left, right][:, None]),
    )


def _along(root: Floats, seen: Floats, added: Floats) -> Floats:
    """(P, G): c' (H_0 + n H_a)^-1 c, by the eigenvalues of H_a in the metric of H_0 = root root'."""
    half = solve_triangular(root, added, lower=True)
    values, vectors = np.linalg.eigh(solve_triangular(root, half.T, lower=True))
    squares = (vectors.T @ seen) ** 2  # (K-1, P)
    shrunk = 1 / (1 + np.maximum(values, 0.0)[:, None] * GRID[None, :])
    return np.asarray(squares.T @ shrunk)
