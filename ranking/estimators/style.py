"""Style control: Bradley-Terry with covariates of the two answers, by maximum likelihood without a penalty.

Source: the style-control model of Chatbot Arena (August 2024; FastChat's and arena-rank's contextual fits).
logit P(A beats B) = theta_A - theta_B + beta . x, with x = (a - b) / (a + b + 1) of each feature, divided by its scale over the
battles fitted. A tie (and "both bad") is half a win for each.

What differs: no ridge and no penalty (FastChat: .5 on every parameter of the summed loss; arena-rank: 1 on the mean loss,
which shrinks the coefficients several times), so the estimate is the maximum; Newton to 1e-10 from the fit without covariates;
and the scale is the root mean square, not the standard deviation about the mean, so that answers of equal style mean x = 0 and
the estimate does not depend on which answer is called A. `centred=True` subtracts the mean as the anchors do; `position=True`
adds an intercept for the answer shown first (then centring changes the intercept and nothing else).

Intervals are sandwiches H^-1 M H^-1 of (theta, beta) together: M sums the battles' outer products of scores, or those of the
judges' summed scores. tests/ranking/estimators/test_style.py holds estimate and intervals against statsmodels and arena-rank.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit

from ranking.estimators import bradley_terry
from ranking.estimators.bradley_terry import NotConverged
from ranking.estimators.connectivity import Group, ranked_group
from ranking.estimators.style_moments import Moments
from ranking.estimators.style_rows import Chunk, Rows, gather
from ranking.estimators.tally import Floats, Pairs

SETTLED = 1e-7  # the last Newton step in logits; the error that it leaves is of the order of its square
MAX_ITERATIONS = 100
HALVINGS = 30
RISE, ROUNDING = 1e-4, 1e-12  # shares of the slope's promise and of the likelihood that a step must keep, may lose
VAGUEST = 1e10  # variance: what is flatter has run away until the slope was rounded to nothing
DEPENDENT = 1e-9  # share of a covariate's sum of squares that the models and earlier covariates must leave unexplained
POSITION = "position"


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """K models of the ranked group and the F covariates kept.

    `theta`: (K,) logits, mean zero, of an answer of equal style; `beta`: (F,) logits per `scale` of the covariate, whose
    `centre` was subtracted; `covariance`: (K + F, K + F), battles independent; `clustered`: the same by judge, or None.
    `dropped`: (name, reason) of the covariates that could not be fitted. `log_likelihood` is that of the half-win model.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    theta: Floats
    beta: Floats
    scale: Floats
    centre: Floats
    covariance: Floats
    clustered: Floats | None
    dropped: tuple[tuple[str, str], ...]
    battles: int
    judges: int | None
    log_likelihood: float


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Rows with standardised covariates: column f is (columns[f] - centre) / scale, and the intercept, if any, comes last."""

    rows: Rows
    kept: tuple[int, ...]
    centre: Floats
    scale: Floats
    position: bool

    @property
    def width(self) -> int:
        return len(self.kept) + self.position

    def moments(self) -> Moments:
        return Moments.empty(len(self.rows.first), self.width)

    def block(self, part: slice) -> Floats:
        """(F, n) float64."""
        values = np.ones((self.width, len(self.rows.pair[part])))
        for f, column in enumerate(self.kept):
            values[f] = (self.rows.columns[column, part] - self.centre[f]) / self.scale[f]
        return values


class _Point(NamedTuple):
    """An estimate (K + F,), its log-likelihood, the Newton step from it, and what its slope promises of the whole step."""

    estimate: Floats
    value: float
    step: Floats
    rise: float


def control(
    models: Sequence[str],
    names: Sequence[str],
    chunks: Iterable[Chunk],
    *,
    centred: bool = False,
    position: bool = False,
) -> tuple[Group, Style | None]:
    """Stream the battles once, fit the largest group that has a finite estimate, and label the models outside it.

    None where no two models can be fitted together. Raises ValueError for malformed chunks and NotConverged where the covariates
    separate the outcomes (then no finite maximum exists).
    """
    rows = gather(models, names, chunks)
    group = ranked_group(Pairs.of_points(rows.points))
    return group, fit(rows.select(group.members), centred=centred, position=position) if len(group.members) else None


def fit(rows: Rows, *, centred: bool = False, position: bool = False) -> Style:
    """Strongly connected rows -> estimate and sandwich. Raises NotConverged, also for covariates that separate the outcomes."""
    design, dropped = _design(rows, centred, position)
    k = rows.size
    at = _at(design, np.concatenate([bradley_terry.fit(Pairs.of_points(rows.points)).theta, np.zeros(design.width)]))
    for _round in range(MAX_ITERATIONS):
        if np.abs(at.step).max() <= SETTLED * max(1.0, float(np.abs(at.estimate).max())):
            break
        at = _climb(design, at)
    else:
        raise NotConverged(
            f"style: no convergence in {MAX_ITERATIONS} Newton steps; the covariates separate the outcomes"
        )
    estimate = at.estimate + at.step
    covariance, clustered, judges, likelihood = _sandwich(design, estimate)
    kept = tuple(rows.names[f] for f in design.kept) + ((POSITION,) if position else ())
    return Style(
        rows.models,
        kept,
        estimate[:k] - estimate[:k].mean(),
        estimate[k:],
        np.append(design.scale, np.ones(int(position))),
        np.append(design.centre, np.zeros(int(position))),
        covariance,
        clustered,
        dropped,
        rows.total,
        judges,
        likelihood,
    )


def _design(rows: Rows, centred: bool, position: bool) -> tuple[_Design, tuple[tuple[str, str], ...]]:
    """Scales, and which covariates can be told from the models, from the intercept and from each other."""
    total, dropped = max(rows.total, 1), []
    mean = np.array([column.sum(dtype=float) for column in rows.columns]) / total
    spread = np.array([_square(column, m) for column, m in zip(rows.columns, mean, strict=True)]) / total
    level = spread + mean**2
    varied = spread > DEPENDENT * level
    centre = mean if centred else np.zeros(len(mean))
    scale = np.sqrt(np.where(varied, spread if centred else level, 1.0))
    candidates = [f for f in range(len(mean)) if varied[f]]
    dropped += [(rows.names[f], "constant") for f in range(len(mean)) if not varied[f]]
    whole = _Design(rows, tuple(candidates), centre[candidates], scale[candidates], position)
    alone, among = _unexplained(whole)
    kept = [n for n in range(len(candidates)) if among[n]]
    for n, f in enumerate(candidates):
        if not among[n]:
            dropped.append(
                (rows.names[f], "collinear with the others" if alone[n] else "the same in every battle of a pair")
            )
    places = [candidates[n] for n in kept]
    return _Design(rows, tuple(places), centre[places], scale[places], position), tuple(dropped)


def _square(column: np.ndarray, mean: float) -> float:
    """Sum of squares about the mean, in float64 without a float64 copy of the column."""
    return float(sum(((column[i : i + (1 << 16)] - mean) ** 2).sum() for i in range(0, len(column), 1 << 16)))


def _unexplained(design: _Design) -> tuple[list[bool], list[bool]]:
    """Of each covariate: does the space of the models (and intercept) leave something of it; do earlier ones kept, too?"""
    moments = design.moments()
    for part in design.rows.blocks():
        pair = design.rows.pair[part].astype(np.intp)
        moments.add(pair, design.block(part), np.ones(len(pair)))
    k, gram = design.rows.size, moments.matrix(design.rows)
    order = list(range(k, len(gram)))
    if design.position:
        order = [order[-1], *order[:-1]]  # the intercept is never dropped for the sake of a covariate
    within = (
        gram[np.ix_(order, order)] - gram[order, :k] @ np.linalg.pinv(gram[:k, :k], hermitian=True) @ gram[:k, order]
    )
    size = gram[order, order]
    alone: list[bool] = []
    kept: list[bool] = []
    for n in range(len(order)):
        alone.append(bool(within[n, n] > DEPENDENT * size[n]))
        base = [i for i in range(n) if kept[i]]
        solved = np.linalg.solve(within[np.ix_(base, base)], within[base, n]) if base else np.zeros(0)
        kept.append(bool(within[n, n] - within[n, base] @ solved > DEPENDENT * size[n]))
    if design.position and not kept[0]:
        raise ValueError("the first position cannot be told from the models: every pair was always shown in one order")
    return (alone[1:], kept[1:]) if design.position else (alone, kept)


def _at(design: _Design, estimate: Floats) -> _Point:
    """Raises NotConverged where the likelihood is flat."""
    value, gradient, information = _slope(design, estimate)
    step = _solve(information, gradient, design.rows.size)
    return _Point(estimate, value, step, float(gradient @ step))


def _climb(design: _Design, at: _Point) -> _Point:
    """The whole Newton step, or the half, quarter ... of it that raises the (concave) likelihood as a slope should.

    (Shortening it by how far it moves a battle's logit lets one extreme covariate hold the fit short of its maximum.)
    """
    share = 1.0
    for _half in range(HALVINGS):
        try:
            tried = _at(design, at.estimate + share * at.step)
        except NotConverged:  # too far out
            tried = None
        if tried and tried.value >= at.value + RISE * share * at.rise - ROUNDING * abs(at.value):
            return tried
        share /= 2
    raise NotConverged("style: no step rises; the covariates separate the outcomes")


def _chance(design: _Design, part: slice, estimate: Floats) -> tuple[np.ndarray, Floats, Floats, Floats]:
    """Of a block: pairs (n,), covariates (F, n), logits and P(A wins) (n,)."""
    rows, theta = design.rows, estimate[: design.rows.size]
    pair, x = rows.pair[part].astype(np.intp), design.block(part)
    logit = (theta[rows.first] - theta[rows.second])[pair] + estimate[rows.size :] @ x
    return pair, x, logit, expit(logit)


def _slope(design: _Design, estimate: Floats) -> tuple[float, Floats, Floats]:
    """The log-likelihood, its gradient (K + F,) and its information (K + F, K + F)."""
    rows, moments, value = design.rows, design.moments(), 0.0
    by_pair, by_covariate = np.zeros(len(rows.first)), np.zeros(design.width)
    for part in rows.blocks():
        pair, x, logit, p = _chance(design, part, estimate)
        moments.add(pair, x, p * (1 - p))
        points = rows.half_points[part] / 2
        residual = points - p
        value += _likelihood(points, logit)
        by_pair += np.bincount(pair, residual, len(by_pair))
        by_covariate += x @ residual
    k = rows.size
    gradient = np.bincount(rows.first, by_pair, k) - np.bincount(rows.second, by_pair, k)
    return value, np.concatenate([gradient, by_covariate]), moments.matrix(rows)


def _likelihood(points: Floats, logit: Floats) -> float:
    """points * logit - log(1 + exp(logit)), summed; row by row first, so that certain battles lose no digits of the others."""
    return float(((points - (logit > 0)) * logit - np.log1p(np.exp(-np.abs(logit)))).sum())


def _solve(information: Floats, right: Floats, k: int) -> Floats:
    """The null vector is a shift of all theta: a constant on their block pins it and changes no difference."""
    pinned = information.copy()
    pinned[:k, :k] += np.trace(information[:k, :k]) / k**2
    try:
        return np.asarray(cho_solve(cho_factor(pinned, lower=True), right))
    except np.linalg.LinAlgError:
        raise NotConverged("style: singular information; the covariates separate the outcomes") from None


def _sandwich(design: _Design, estimate: Floats) -> tuple[Floats, Floats | None, int | None, float]:
    """Battle and judge sandwich (K + F, K + F), the number of judges, and the log-likelihood, in one pass over the rows.

    The judges' M has the factor G / (G - 1) for G judges.
    """
    rows, k = design.rows, design.rows.size
    bread, meat, likelihood = design.moments(), design.moments(), 0.0
    judges = None if rows.judge is None else int(rows.judge.max()) + 1
    by_model = csr_array((judges or 0, k))
    by_covariate = np.zeros((design.width, judges or 0))
    for part in rows.blocks():
        pair, x, logit, p = _chance(design, part, estimate)
        points = rows.half_points[part] / 2
        residual = points - p
        likelihood += _likelihood(points, logit)
        bread.add(pair, x, p * (1 - p))
        meat.add(pair, x, residual**2)
        if judges is not None and rows.judge is not None:
            judge = rows.judge[part]
            places = (np.tile(judge, 2), np.concatenate([rows.first[pair], rows.second[pair]]))
            by_model = by_model + csr_array((np.concatenate([residual, -residual]), places), shape=(judges, k))
            for f in range(design.width):
                by_covariate[f] += np.bincount(judge, x[f] * residual, judges)
    inverse = _solve(bread.matrix(rows), np.eye(k + design.width), k)
    if not np.diag(inverse).max() < VAGUEST:
        raise NotConverged("style: the likelihood is flat at the end; the covariates separate the outcomes")
    battle = inverse @ meat.matrix(rows) @ inverse
    if judges is None:
        return battle, None, None, likelihood
    outer = np.empty((k + design.width, k + design.width))
    outer[:k, :k] = (by_model.T @ by_model).toarray()
    outer[:k, k:] = by_model.T @ by_covariate.T
    outer[k:, :k], outer[k:, k:] = outer[:k, k:].T, by_covariate @ by_covariate.T
    return battle, inverse @ outer @ inverse * (judges / (judges - 1)) if judges > 1 else None, judges, likelihood
