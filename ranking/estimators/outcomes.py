"""Models of a battle's outcome, fitted from cells by Newton: half-win, drop, Davidson and both Rao-Kupper laws. No Django.

The estimate is the maximum of sum(count * log P) in the gauge sum(theta) = 0, by Newton with halved steps to 1e-10 logits, and
with a multiple of the identity added where the likelihood is not concave on the way. `position=True` adds gamma to the logit of
the model shown as A. Where no finite maximum exists, `NoEstimate` says why.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ranking.estimators.bradley_terry import NoFiniteEstimate
from ranking.estimators.connectivity import strongly_connected
from ranking.estimators.laws import Law, log_chance
from ranking.estimators.tally import OUTCOMES, Bools, Floats, Ints, Outcome, Tally

TOLERANCE = 1e-10  # logits, relative beyond 1
MAX_ITERATIONS = 200
HALVINGS = 50
FURTHEST = 300.0  # logits from the mean: the estimate runs away
VAGUEST = 1e6  # variance in squared logits: what is flatter has run away until the slope was rounded to nothing


class NoEstimate(NoFiniteEstimate):
    """No finite maximum of the likelihood; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """`theta`: (K,) logits, mean zero. `position`, `tie`: gamma and phi, None where not fitted.

    `covariance`: (P, P) of (theta, gamma, phi) in that order and in the gauge, the inverse information; `sandwich`: the same,
    right when the law is not (half-win never is: a tie is not half a win). `anchor`: the mean logit above the law's own zero
    and its standard error. `log_likelihood` is of the battles that the law scores.
    """

    law: Law
    theta: Floats
    position: float | None
    tie: float | None
    anchor: tuple[float, float] | None
    covariance: Floats
    sandwich: Floats
    log_likelihood: float

    @property
    def deviations(self) -> Floats:
        """(P,) standard errors by the sandwich."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.sandwich), 0.0)))  # 0 may be -1e-20


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """C cells that a law scores. The parameters are theta (K,), then gamma and phi where they are fitted."""

    size: int
    first: Ints
    second: Ints
    was_a: Bools
    outcome: Ints
    weight: Floats
    square: Floats  # what an outer product of scores is counted with: the weight, or the sum of squared weights
    position: bool
    tied: bool

    @property
    def extras(self) -> list[Ints]:
        """(C,) for gamma and phi, if fitted: which of (x1, x2, phi) of a cell each of them is added to."""
        parts = [np.where(self.was_a, 0, 1)] if self.position else []
        return parts + ([np.full(len(self.first), 2)] if self.tied else [])

    def locals(self, estimate: Floats) -> Floats:
        """(C, 3): x1, x2 and phi."""
        z = np.zeros((len(self.first), 3))
        z[:, 0], z[:, 1] = estimate[self.first], estimate[self.second]
        for n, local in enumerate(self.extras):
            z[np.arange(len(z)), local] += estimate[self.size + n]
        return z

    def gradient(self, local: Floats) -> Floats:
        """(C, 3) derivatives by (x1, x2, phi), weights included -> (P,)."""
        own = np.bincount(self.first, local[:, 0], self.size) + np.bincount(self.second, local[:, 1], self.size)
        return np.append(own, [local[np.arange(len(local)), extra].sum() for extra in self.extras])

    def matrix(self, local: Floats) -> Floats:
        """(C, 3, 3) by (x1, x2, phi), weights included -> (P, P)."""
        k, extras, rows = self.size, self.extras, np.arange(len(local))
        full = np.zeros((k + len(extras), k + len(extras)))
        off = np.bincount(self.first * k + self.second, local[:, 0, 1], k * k).reshape(k, k)
        full[:k, :k] = off + off.T
        own = np.bincount(self.first, local[:, 0, 0], k) + np.bincount(self.second, local[:, 1, 1], k)
        full[np.arange(k), np.arange(k)] += own
        for n, extra in enumerate(extras):
            first, second = local[rows, 0, extra], local[rows, 1, extra]
            full[:k, k + n] = np.bincount(self.first, first, k) + np.bincount(self.second, second, k)
            full[k + n, :k] = full[:k, k + n]
            for m, other in enumerate(extras):
                full[k + n, k + m] = local[rows, extra, other].sum()
        return full


def fit(
    law: Law, tally: Tally, *, position: bool = False, reweighted: bool = False, start: Fitted | None = None
) -> Fitted:
    """Maximum likelihood of `law` from the cells; `reweighted`: each battle counts 1 / P of its draw.

    Raises NoEstimate: not strongly connected, no ties or only ties, no "both bad" for an absolute law, a position that the
    models decide, or outcomes that are separated.
    """
    cells = scored(law, tally, position, reweighted)
    _refuse(law, cells)
    if position and decided_by_models(tally):
        raise NoEstimate(f"{law.name}: the models decide who is shown first, so the position cannot be told from them")
    k = cells.size
    estimate = np.zeros(k + position + cells.tied)
    if law.tie_start is not None:
        estimate[-1] = law.tie_start
    if start is not None:
        known = [start.theta + (start.anchor[0] if start.anchor else 0.0), [start.position or 0.0] * position]
        estimate = np.concatenate([*known, [start.tie] if start.tie is not None else []])
    estimate = _climb(law, cells, estimate)
    value, gradients, hessians = _evaluate(law, cells, estimate)
    inverse = _inverse(cells, hessians, law.absolute)
    meat = cells.matrix(gradients[:, :, None] * gradients[:, None, :] * cells.square[:, None, None])
    sandwich = inverse @ meat @ inverse
    theta = estimate[:k]
    return Fitted(
        law,
        theta - theta.mean(),
        float(estimate[k]) if position else None,
        float(estimate[-1]) if law.tie_start is not None else None,
        (float(theta.mean()), float(np.sqrt(sandwich[:k, :k].sum()) / k)) if law.absolute else None,
        _centred(inverse, k),
        _centred(sandwich, k),
        float(cells.weight @ value),
    )


def _centred(covariance: Floats, k: int) -> Floats:
    """Of the first k parameters less their mean."""
    by_row = covariance.copy()
    by_row[:k] -= covariance[:k].mean(axis=0)
    made = by_row.copy()
    made[:, :k] -= by_row[:, :k].mean(axis=1)[:, None]
    return made


def scored(law: Law, tally: Tally, position: bool = False, reweighted: bool = False) -> Cells:
    """The cells that the law has a probability for; sides are pooled unless their position is fitted."""
    outcome = law.scored_as[tally.outcome]
    kept = np.array([Outcome(o) in law.chances for o in range(OUTCOMES)])[outcome] & (tally.count > 0)
    weight, square = (tally.inverse_p, tally.inverse_p2) if reweighted else (tally.count, tally.count)
    was_a = tally.first_was_a if position else np.ones(len(outcome), bool)
    keys = (((tally.first * tally.size + tally.second) * 2 + ~was_a) * OUTCOMES + outcome)[kept]
    cells, place = np.unique(keys, return_inverse=True)
    pair, rest = np.divmod(cells, 2 * OUTCOMES)
    first, second = np.divmod(pair, max(tally.size, 1))
    return Cells(
        tally.size,
        first,
        second,
        rest < OUTCOMES,
        rest % OUTCOMES,
        np.bincount(place, weight[kept], len(cells)).astype(float),
        np.bincount(place, square[kept], len(cells)).astype(float),
        position,
        law.tie_start is not None,
    )


def decided_by_models(tally: Tally) -> bool:
    """Is the side that a model is shown on a difference of numbers of the two models (for one: every pair has one order)?"""
    side = np.where(tally.first_was_a, 1.0, -1.0)
    laplacian = np.zeros((tally.size, tally.size))
    np.add.at(laplacian, (tally.first, tally.second), -1.0)
    laplacian += laplacian.T
    laplacian -= np.diag(laplacian.sum(axis=1))
    sums = np.bincount(tally.first, side, tally.size) - np.bincount(tally.second, side, tally.size)
    explained = sums @ np.linalg.pinv(laplacian, hermitian=True) @ sums
    return bool(len(side) - explained <= 1e-9 * len(side))


def _refuse(law: Law, cells: Cells) -> None:
    counts = np.bincount(cells.outcome, cells.weight, OUTCOMES)
    up, down = cells.outcome != Outcome.SECOND, cells.outcome != Outcome.FIRST
    if cells.size < 2 or not strongly_connected(cells.size, cells.first, cells.second, up, down):
        raise NoEstimate(f"{law.name}: the models are not strongly connected by the battles that it scores")
    if law.tie_start is not None and not counts[Outcome.TIE]:
        raise NoEstimate(f"{law.name}: no ties, so their parameter has no estimate")
    if not counts[Outcome.FIRST] + counts[Outcome.SECOND]:
        raise NoEstimate(f"{law.name}: only ties")
    if law.absolute and not counts[Outcome.BOTH_BAD]:
        raise NoEstimate(f'{law.name}: no "both bad", so its zero has no estimate')


def _evaluate(law: Law, cells: Cells, estimate: Floats) -> tuple[Floats, Floats, Floats]:
    z = cells.locals(estimate)
    value, gradient, hessian = np.empty(len(z)), np.empty((len(z), 3)), np.empty((len(z), 3, 3))
    for outcome, chance in law.chances.items():
        of = cells.outcome == outcome
        value[of], gradient[of], hessian[of] = log_chance(chance, z[of])
    return value, gradient, hessian


def _information(cells: Cells, hessians: Floats, absolute: bool) -> Floats:
    """(P, P), made regular in the free gauge: its null vector is a shift of all theta."""
    full, k = cells.matrix(-hessians * cells.weight[:, None, None]), cells.size
    if not absolute:
        full[:k, :k] += np.trace(full[:k, :k]) / k**2
    return full


def _inverse(cells: Cells, hessians: Floats, absolute: bool) -> Floats:
    try:
        inverse = cho_solve(
            cho_factor(information := _information(cells, hessians, absolute)), np.eye(len(information))
        )
    except np.linalg.LinAlgError:
        raise NoEstimate("the information is singular at the estimate") from None
    if not np.diag(inverse).max() < VAGUEST:
        raise NoEstimate(
            "the likelihood rises without a maximum, as far as floats can tell (the outcomes are separated)"
        )
    return np.asarray(inverse)


def _climb(law: Law, cells: Cells, estimate: Floats) -> Floats:
    value, gradients, hessians = _evaluate(law, cells, estimate)
    total = float(cells.weight @ value)
    for _round in range(MAX_ITERATIONS):
        gradient = cells.gradient(gradients * cells.weight[:, None])
        step, helped = _step(_information(cells, hessians, law.absolute), gradient)
        for _half in range(HALVINGS):
            tried = estimate + step
            value, gradients, hessians = _evaluate(law, cells, tried)
            reached = float(cells.weight @ value)
            if reached >= total - 1e-12 * abs(total):  # rounding; nan never passes
                break
            step /= 2
        else:
            raise NoEstimate(f"{law.name}: no step rises")
        estimate, total = tried, reached
        if (
            np.abs(estimate[: cells.size] - estimate[: cells.size].mean()).max() > FURTHEST
            or np.abs(estimate).max() > 2 * FURTHEST
        ):
            break
        if not helped and np.abs(step).max() <= TOLERANCE * max(1.0, float(np.abs(estimate).max())):
            return estimate
    raise NoEstimate(f"{law.name}: the likelihood rises without a maximum (the outcomes are separated)")


def _step(information: Floats, gradient: Floats) -> tuple[Floats, bool]:
    """The step, and whether the information had to be helped to be positive definite."""
    ridge, size = 0.0, float(np.trace(np.abs(information))) / len(information)
    for _try in range(60):
        try:
            return np.asarray(
                cho_solve(cho_factor(information + ridge * np.eye(len(information))), gradient)
            ), ridge > 0
        except (np.linalg.LinAlgError, ValueError):  # ValueError: not finite
            ridge = max(10 * ridge, 1e-12 * size)
    raise NoEstimate("the information is not finite")
