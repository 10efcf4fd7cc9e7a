"""Judge-clustered covariance that holds with few or uneven judges: CR2 and Satterthwaite's degrees of freedom. No Django.

The usual cluster-robust form (`sandwich.clustered`) is too small where few judges cast most of the votes, and its quotients are
not normal. Source: bias-reduced linearization (Bell and McCaffrey 2002, Survey Methodology 28, 169; Pustejovsky and Tipton 2018,
doi 10.1080/07350015.2016.1247004). With M = H^+ = L L^T, Q_g = L^T H_g L the leverage of judge g (they add up to I) and s_g the
score of g:

    V = M (sum_g r_g r_g^T) M,   L^T r_g = (I - Q_g)^(-1/2) L^T s_g,

which is unbiased where battles are independent, whatever the sizes; the quotient of model m is Student's t with
nu_m = tr(S)^2 / tr(S^2) degrees, S being the covariance of the judges' parts of the estimate there. `effective`: how many judges
of equal weight a model's error rests on, (sum_g c_g)^2 / sum_g c_g^2, c_g being judge g's part of its variance (Carter, Schnepel
and Steigerwald 2017, Review of Economics and Statistics 99, 698; here with battles independent).

Kept: the adjustment, nu, the effective number. Different: the working law is the binomial information; what one judge alone
decides (leverage 1, where the adjustment does not exist) gets the mean inflation of the rest; tr(S^2) is taken at its bound,
where all judges point the same way, so that nu is at most a little too low; judges of a leverage below LIGHT but the FIRST, or
beyond the budget of work, have the factor of their mean leverage. Shown by tests/ranking/estimators/test_few_judges.py.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.special import ndtri

from ranking.estimators import sandwich
from ranking.estimators.bradley_terry import NotConverged, chances
from ranking.estimators.judges import JudgeTally
from ranking.estimators.sandwich import VALUES, Covariance, TooFewJudges, pooled
from ranking.estimators.simultaneous import student
from ranking.estimators.tally import Floats, Ints
from ranking.method import CONFIDENCE

FIRST = 200  # judges that are heavy in any case
LIGHT = 0.1  # of a judge's leverage, the trace of Q_g; so at most 10 (K - 1) other judges are heavy
WORK = 5e9  # multiplications for the heavy ones, the heaviest first
CONNECTED = 1e-13  # smallest eigenvalue of the information beside the largest
ALONE = 1.0 - 1e-6  # a leverage above it is 1
BLOCK = 1 << 20  # floats of light judges at a time


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """E (judge, pair) rows, sorted by judge: `weight` their information, `residual` their points less those expected.

    `root`: (K, K - 1), M = root root^T; `leverage`: (J,) trace of Q_g; `begins`: (J + 1,) first row of each judge.
    """

    first: Ints
    second: Ints
    judge: Ints
    weight: Floats
    residual: Floats
    root: Floats
    leverage: Floats
    begins: Ints


class _Sums:
    """Over judges, of each model: parts of V and of the traces. `parts`: the (K,) adjusted parts of heavy judges."""

    def __init__(self, size: int) -> None:
        self.parts: list[Floats] = []
        self.lost = np.zeros((size, size))
        self.d, self.d2, self.f2, self.df2 = np.zeros((4, size))
        self.share, self.share2 = np.zeros((2, size))

    def add(self, d: Floats, f2: Floats, share: Floats) -> None:
        self.d += d
        self.d2 += d * d
        self.f2 += f2
        self.df2 += d * f2
        self.share += share
        self.share2 += share * share


def clustered(tally: JudgeTally, theta: Floats) -> Covariance:
    """CR2 by judge with the degrees of freedom and the effective judges of each model.

    `theta`: (K,) the estimate of `tally.tally().pairs()`. Raises TooFewJudges for one judge, NotConverged if not connected.
    """
    if tally.judges < 2:
        raise TooFewJudges(f"{tally.judges} judge: a covariance by judge needs two at least")
    edges, sums = _edges(tally, theta), _Sums(tally.size)
    heavy = _heavy(edges)
    for judge in heavy:
        _add_heavy(edges, int(judge), sums)
    matrix = _add_light(edges, heavy, sums)
    if sums.parts:
        parts = np.array(sums.parts)
        matrix += parts.T @ parts
    expected = np.trace(edges.root @ edges.root.T - sums.lost)
    if sums.lost.any():
        matrix += sums.lost * (np.trace(matrix) / expected if expected > 0 else 1.0)
    freedom = (sums.d - sums.f2) ** 2 / (sums.d2 - 2.0 * sums.df2 + sums.f2**2)
    return Covariance((matrix + matrix.T) / 2, tally.judges, np.maximum(freedom, 1.0), sums.share**2 / sums.share2)


def widening(covariance: Covariance, confidence: float = CONFIDENCE) -> Floats:
    """(K,) Student's quantile over the normal one: by how much deviations of a normal law are stretched to have its ends."""
    level = 0.5 + confidence / 2.0
    return np.asarray(student(covariance.freedom, level) / ndtri(level))


def replicates(tally: JudgeTally, theta: Floats, covariance: Covariance, thetas: Floats) -> Floats:
    """(B, K) replicates of resampled judges (`bootstrap.clustered`), whose spread is that of the plain sandwich without its
    J / (J - 1), stretched about the estimate to the spread and the ends of `covariance`. With many judges that is by nothing."""
    plain = sandwich.clustered(tally, theta).se * ((tally.judges - 1) / tally.judges) ** 0.5
    stretch = np.divide(covariance.se, plain, out=np.ones(len(plain)), where=plain > 0)
    return np.asarray(theta + (thetas - theta) * stretch * widening(covariance))


def borrowed(matrix: Floats, tally: JudgeTally, theta: Floats) -> Covariance:
    """A plain covariance by judge of the same votes under a larger model (style), with the correction that the counts need.

    `tally` and `theta`: of the counts. What CR2 adds to the plain form is added, and the degrees are those of the counts: an
    approximation, which holds as far as the covariates are spread over judges as the votes are.
    """
    exact = clustered(tally, theta)
    values, vectors = eigh(matrix + exact.matrix - sandwich.clustered(tally, theta).matrix)
    return replace(exact, matrix=(vectors * np.maximum(values, 0.0)) @ vectors.T)


def _edges(tally: JudgeTally, theta: Floats) -> _Edges:
    p, q = chances(tally.first, tally.second, theta)
    keys = (tally.judge * tally.size + tally.first) * tally.size + tally.second
    rows, place = np.unique(keys, return_inverse=True)
    rest, second = np.divmod(rows, tally.size)
    judge, first = np.divmod(rest, tally.size)
    weight = np.bincount(place, tally.count * p * q).astype(np.float64)
    points = VALUES[tally.outcome]
    residual = np.bincount(place, tally.count * (points * q - (1.0 - points) * p)).astype(np.float64)
    values, vectors = eigh(pooled(tally, tally.count * p * q))
    if not values[1] > CONNECTED * values[-1]:
        raise NotConverged("singular information: the pairs do not connect the models")
    root = vectors[:, 1:] / np.sqrt(values[1:])
    bread = root @ root.T
    resistance = bread[first, first] + bread[second, second] - 2.0 * bread[first, second]
    leverage = np.bincount(judge, weight * resistance, tally.judges).astype(np.float64)
    begins = np.searchsorted(judge, np.arange(tally.judges + 1))
    return _Edges(first, second, judge, weight, residual, root, leverage, begins)


def _heavy(edges: _Edges) -> Ints:
    """Judges that are adjusted exactly, within the budget of work."""
    size = edges.root.shape[1]
    judges = np.argsort(-edges.leverage, kind="stable")
    judges = judges[(edges.leverage[judges] > LIGHT) | (np.arange(len(judges)) < FIRST)]
    rank = np.minimum(np.diff(edges.begins)[judges], size)
    return np.asarray(judges[np.cumsum(rank.astype(float) ** 2 * (rank + 2.0 * size)) <= WORK])


def _add_heavy(edges: _Edges, judge: int, sums: _Sums) -> None:
    rows = slice(edges.begins[judge], edges.begins[judge + 1])
    apart = edges.root[edges.first[rows]] - edges.root[edges.second[rows]]
    score = edges.residual[rows] @ apart
    scaled = apart * np.sqrt(edges.weight[rows])[:, None]
    if len(scaled) < scaled.shape[1]:
        values, vectors = np.linalg.eigh(scaled @ scaled.T)
        kept = values > 1e-12
        values, vectors = values[kept], scaled.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    else:
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
    free = values < ALONE
    values = np.clip(values, 0.0, 1.0)
    adjust = np.where(free, 1.0 / np.sqrt(np.where(free, 1.0 - values, 1.0)), 0.0)
    seen = edges.root @ vectors  # (K, R)
    sums.parts.append(edges.root @ score + seen @ ((adjust - 1.0) * (vectors.T @ score)))
    if not free.all():
        alone = seen[:, ~free]
        sums.lost += alone @ alone.T
    square = seen * seen
    d = np.where(free, values * adjust**2, 1.0)
    sums.add(square @ d, square @ (d * values * free), square @ values)


def _add_light(edges: _Edges, heavy: Ints, sums: _Sums) -> Floats:
    """The others, by the factor of their mean leverage; returns their part of V."""
    size, judges = len(edges.root), len(edges.leverage)
    light = np.ones(judges, bool)
    light[heavy] = False
    factor = light / (1.0 - np.minimum(edges.leverage / np.diff(edges.begins), ALONE))
    bread = edges.root @ edges.root.T
    scores = edges.residual * np.sqrt(factor)[edges.judge]
    entries = np.concatenate([scores, -scores])
    places = np.tile(edges.judge, 2), np.concatenate([edges.first, edges.second])
    table = csr_array((entries, places), shape=(judges, size))
    pairs, place = np.unique(edges.first * size + edges.second, return_inverse=True)
    seen = (bread[:, pairs // size] - bread[:, pairs % size]).T ** 2  # (P, K)
    weights = csr_array((edges.weight, (edges.judge, place)), shape=(judges, len(pairs)))
    chosen = np.flatnonzero(light)
    step = max(1, BLOCK // size)
    for begin in range(0, len(chosen), step):
        some = chosen[begin : begin + step]
        share = weights[some] @ seen
        d = share * factor[some][:, None]
        sums.d += d.sum(axis=0)
        sums.d2 += (d * d).sum(axis=0)
        sums.share += share.sum(axis=0)
        sums.share2 += (share * share).sum(axis=0)
    return np.asarray(bread @ (table.T @ table).toarray() @ bread)
