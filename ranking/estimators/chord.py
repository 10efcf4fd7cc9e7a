"""Thousands of Bradley-Terry fits at once, by chord iteration from the fit of the full data. Pure numpy and scipy, no Django.

A replicate's information is nearly that of the full data, so its inverse V serves all replicates: each round adds V g to every
replicate, g being the replicate's gradient. The likelihood equations see a replicate only through its battles per pair (n) and
its points per model; with x = theta / 2, g_i = (points - n / 2)_i - sum_j (n_ij / 2) tanh(x_i - x_j).

Where votes are few, replicates differ more and V is only a preconditioner: what has not settled after ROUNDS rounds goes on by
Newton's method, whose equations are solved by conjugate gradients preconditioned with V, again for all of them together.

Bounds: a replicate is settled when its last step was at most STEP; in the chord also at most half of the one before, so that the
error left is at most the last step. At most ROUNDS rounds, then NEWTON_STEPS steps of at most CG_STEPS; what is not settled even
then is returned as such, and `bootstrap` fits it alone. Shown by tests/ranking/estimators/test_bootstrap.py.
"""

from collections.abc import Callable

import numpy as np

from ranking.estimators.incidence import Incidence
from ranking.estimators.poisson_tables import Single
from ranking.estimators.tally import Bools, Floats, Ints, Pairs

Method = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]

STEP = 1e-9  # logits; 2e-7 rating points
ROUNDS = 16
ASTRAY = 0.3  # logits: a replicate whose last round moved more begins anew at the full fit
NEWTON_STEPS = 30
CG_STEPS = 60
CG_PRECISION = 0.03  # of the gradient's size, as V measures it


class Chord:
    """`theta`: (K,) fit of the full data of `pairs`; `inverse`: (K, K) its pseudo-inverse information."""

    def __init__(self, pairs: Pairs, theta: Floats, inverse: Floats) -> None:
        self._incidence, self._theta, self._inverse = Incidence(pairs), theta, inverse

    def solve(self, up: Single, down: Single, virtual: Floats) -> tuple[Floats, Bools]:
        """(P, B) points, and (B,) virtual tied battles per pair -> (B, K) thetas with mean zero, and (B,) which settled."""
        x = np.repeat(self._theta[:, None] / 2, up.shape[1], axis=1)
        moved = self._blocks(self._chord, np.arange(up.shape[1]), x, up, down, virtual)
        order = np.argsort(moved, kind="stable")  # like to like: a block takes as long as its slowest replicate
        left = order[moved[order] > STEP]
        x[:, moved > ASTRAY] = self._theta[:, None] / 2
        moved[left] = self._blocks(self._newton, left, x, up, down, virtual)
        return (2 * (x - x.mean(axis=0))).T, moved <= STEP

    def _blocks(self, method: Method, chosen: Ints, x: Floats, up: Single, down: Single, virtual: Floats) -> Floats:
        """Run `method` on the chosen replicates, a block at a time, each from and into its column of `x`; their last steps."""
        moved = np.empty(len(chosen))
        for begin in range(0, len(chosen), self._incidence.columns):
            done = slice(begin, min(begin + self._incidence.columns, len(chosen)))
            in_place = np.array_equal(chosen[done], np.arange(done.start, done.stop))
            some = done if in_place else chosen[done]  # a slice is no copy
            win, loss = up[:, some], down[:, some]
            half = np.add(win, loss, dtype=np.float64)
            half += virtual[some]
            half /= 2
            x[:, some], moved[done] = method(half, self._incidence.sums(win, loss) / 2, x[:, some])
        return moved

    def _chord(self, half: Floats, excess: Floats, x: Floats) -> tuple[Floats, Floats]:
        last = moved = np.full(half.shape[1], np.inf)
        for _round in range(ROUNDS):
            step = self._inverse @ self._gradient(half, excess, x)
            last, moved = moved, np.abs(step).max(axis=0)
            x = x + step / 2
            if (moved <= STEP).all():
                break
        shrinks = moved <= np.maximum(last / 2, STEP / 1000)
        return x, np.where(shrinks, moved, np.maximum(moved, 2 * STEP))

    def _newton(self, half: Floats, excess: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Damped as in `bradley_terry.newton`."""
        moved = np.full(half.shape[1], np.inf)
        for _step in range(NEWTON_STEPS):
            weight = np.empty_like(half)
            step = self._solve(weight, self._gradient(half, excess, x, weight))
            spread = np.maximum(np.ptp(step, axis=0), 1e-8)
            x = x + step * (np.log1p(spread) / spread / 2)
            moved = np.abs(step).max(axis=0) / np.maximum(1.0, 2 * np.abs(x).max(axis=0))
            if (moved <= STEP).all():
                break
        return x, moved

    def _gradient(self, half: Floats, excess: Floats, x: Floats, weight: Floats | None = None) -> Floats:
        """(K, B); `weight`: (P, B), filled with n p q where it is given."""
        gradient = excess.copy()
        for rows, matrix, slope in self._incidence.differences(x):
            np.tanh(slope, out=slope)
            if weight is not None:
                weight[rows] = half[rows] * (1 - slope * slope) / 2
            slope *= half[rows]
            gradient -= matrix @ slope
        return gradient

    def _solve(self, weight: Floats, gradient: Floats) -> Floats:
        """(K, B) Newton steps by preconditioned conjugate gradients, to CG_PRECISION or for CG_STEPS."""
        step, residual = np.zeros_like(gradient), gradient.copy()
        direction = self._inverse @ residual
        size = first = np.maximum((residual * direction).sum(axis=0), 0.0)
        for _step in range(CG_STEPS):
            image = np.zeros_like(gradient)
            for rows, matrix, slope in self._incidence.differences(direction):
                slope *= weight[rows]
                image += matrix @ slope
            curve = (direction * image).sum(axis=0)
            length = np.divide(size, curve, out=np.zeros_like(size), where=curve > 0)
            step += length * direction
            residual -= length * image
            better = self._inverse @ residual
            last, size = size, np.maximum((residual * better).sum(axis=0), 0.0)
            if (size <= CG_PRECISION**2 * first).all():
                break
            direction = better + np.divide(size, last, out=np.zeros_like(size), where=last > 0) * direction
        return step
