"""Laws of a battle's outcome: log P of each outcome as a function of the two models' logits and one parameter. No Django.

log P is a linear form of (x1, x2, phi), plus signed log-sum-exps of linear forms, plus log(exp(c phi) - 1): every law here is
one, so value, gradient and Hessian are analytic and written once. The laws are in half_win, davidson, rao_kupper and
grounded_rao_kupper; outcomes.py fits them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ranking.estimators.tally import OUTCOMES, Floats, Ints, Outcome


@dataclass(frozen=True, slots=True)
class Exp:
    """sign * log(sum of exp(form)); a form has coefficients of (x1, x2, phi, 1)."""

    sign: float
    forms: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Chance:
    """log P of one outcome: linear . (x1, x2, phi) + sum of `parts` + log(exp(gap * phi) - 1) where gap > 0."""

    linear: tuple[float, float, float]
    parts: tuple[Exp, ...]
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Law:
    """`chances`: log P by outcome; both bad is a tie where it has none of its own, and an outcome without any is dropped.

    `tie_start`: where phi starts, None if the law has no phi; `absolute`: logits have a zero of their own, so no gauge is free.
    """

    name: str
    chances: Mapping[Outcome, Chance] = field(hash=False)
    tie_start: float | None = None
    absolute: bool = False

    @property
    def scored_as(self) -> Ints:
        """(4,) the outcome that each outcome is scored as: both bad is a tie where it has no chance of its own."""
        return np.array([o if o in self.chances or o != Outcome.BOTH_BAD else Outcome.TIE for o in Outcome])


def log_chances(law: Law, x1: Floats, x2: Floats, phi: float | None) -> Floats:
    """(4, n) log P by Outcome; both bad is -inf for a law that scores it as a tie, and what it drops is -inf."""
    z = np.column_stack([x1, x2, np.full(len(x1), phi or 0.0)])
    logs = np.full((OUTCOMES, len(x1)), -np.inf)
    for outcome, chance in law.chances.items():
        logs[outcome] = log_chance(chance, z)[0]
    return logs


def log_chance(chance: Chance, z: Floats) -> tuple[Floats, Floats, Floats]:
    """(n, 3) -> log P (n,), gradient (n, 3), Hessian (n, 3, 3)."""
    linear = np.array(chance.linear, float)
    value, gradient = z @ linear, np.tile(linear, (len(z), 1))
    hessian = np.zeros((len(z), 3, 3))
    for part in chance.parts:
        forms = np.array(part.forms, float)
        logs = z @ forms[:, :3].T + forms[:, 3]
        most = logs.max(axis=1)
        shares = np.exp(logs - most[:, None])
        total = shares.sum(axis=1)
        shares /= total[:, None]
        mean = shares @ forms[:, :3]
        value += part.sign * (most + np.log(total))
        gradient += part.sign * mean
        squares = (forms[:, :3, None] * forms[:, None, :3]).reshape(-1, 9)
        hessian += part.sign * ((shares @ squares).reshape(-1, 3, 3) - mean[:, :, None] * mean[:, None, :])
    if chance.gap:
        c, phi = chance.gap, z[:, 2]
        with np.errstate(all="ignore"):  # phi <= 0 has no probability: the value is nan and the step is halved
            value += c * phi + np.log(-np.expm1(-c * phi))
            gradient[:, 2] += c / -np.expm1(-c * phi)
            hessian[:, 2, 2] -= c**2 / (np.expm1(c * phi) * -np.expm1(-c * phi))
    return value, gradient, hessian
