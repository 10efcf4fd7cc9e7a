"""Weak priors by name, for callers who want a figure where no finite estimate exists. Never used unless named. No Django.

half_battle: half a virtual tied battle for every pair that has met (as arenakit's).
firth: half the log determinant of the information (Jeffreys' prior; Firth 1993), which removes the first-order bias.

Both are finite for every model that is connected to the others by battles at all, unbeaten or not; models that never met stay
refused. bradley_terry.Prior.VIRTUAL_OPPONENT (one tied battle of each model with one virtual model) is finite for all.

Firth's score adds h (1/2 - p) per pair, h = n p q x' H^+ x being the pair's leverage: h tied virtual battles. The fit alternates
exact Newton fits with new h until nothing moves. Shown by tests/ranking/estimators/test_priors.py.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ranking.estimators import bradley_terry
from ranking.estimators.bradley_terry import NotConverged, chances, information, pseudo_inverse
from ranking.estimators.tally import Floats, Pairs
from ranking.method import VIRTUAL_BATTLE

SETTLED = 1e-10  # logits
MAX_ROUNDS = 500


class Weak(StrEnum):
    """The priors of this file, by the name that a board must show."""

    HALF_BATTLE = "half_battle"
    FIRTH = "firth"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`theta`: (K,) logits with mean zero under `prior`; `added`: virtual battles in all."""

    theta: Floats
    prior: Weak
    added: float


def fit(pairs: Pairs, prior: Weak) -> Fit:
    """Raises bradley_terry.NoFiniteEstimate for models that no chain of battles joins."""
    if prior is Weak.HALF_BATTLE:
        helped = _tied(pairs, np.where(pairs.battles > 0, VIRTUAL_BATTLE, 0.0))
        return Fit(bradley_terry.fit(helped).theta, prior, VIRTUAL_BATTLE * int((pairs.battles > 0).sum()))
    return _firth(pairs)


def _firth(pairs: Pairs) -> Fit:
    theta = fit(pairs, Weak.HALF_BATTLE).theta
    for _round in range(MAX_ROUNDS):
        leverage = _leverage(pairs, theta)
        moved = bradley_terry.fit(_tied(pairs, leverage), start=theta).theta
        change, theta = float(np.abs(moved - theta).max()), moved
        if change <= SETTLED:
            return Fit(theta, Weak.FIRTH, float(leverage.sum()))
    raise NotConverged(f"Firth: still moving by {change:.1e} logits after {MAX_ROUNDS} rounds")


def _leverage(pairs: Pairs, theta: Floats) -> Floats:
    """(P,) n p q (e_i - e_j)' H^+ (e_i - e_j); they sum to K - 1."""
    bread = pseudo_inverse(information(pairs, theta))
    p, q = chances(pairs.first, pairs.second, theta)
    own = bread.diagonal()
    spread = own[pairs.first] + own[pairs.second] - 2 * bread[pairs.first, pairs.second]
    return np.asarray(pairs.battles * p * q * spread)


def _tied(pairs: Pairs, extra: Floats) -> Pairs:
    return replace(pairs, tied=pairs.tied + extra)
