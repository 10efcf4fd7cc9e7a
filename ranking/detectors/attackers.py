"""A likelihood-ratio e-process: the voter against the history, in favour of a mixture of named ways to vote badly.

For each way h there is a distribution q_h of the outcome of any battle. Under the history p, the product of q_h / p over a
voter's votes is a nonnegative martingale with mean 1, and so is the mixture E = sum_h w_h prod q_h / p with weights that sum
to one. By Ville's inequality an honest voter ever reaches 1 / alpha with a probability of at most alpha: over all ways, all
models and all looks together. No correction is needed for testing again after every vote, and a voter is told by the way that
explains him best.

The ways: `promote m` and `demote m` (nearly always for or against m where it takes part, honest elsewhere; a hard and a soft
version), `rig m` (promote m, toss coins elsewhere), `random`, `coin` (random without ties), `inverted`, `anti-strong` (for
whom the history thinks weaker), `always a`, `always b`, `always tie`, `never tie`. Most of the weight is on `promote`,
because that is what pays. p is estimated, from a history that must be large enough (the caller sees to that); shrinkage keeps
it from 0. Test: tests/ranking/detectors/test_attackers.py (a martingale under the null, each way found), test_sequential.py
(rates, power).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ranking.detectors.history import A_WON, B_WON, TIED, Ballots, History
from ranking.estimators.tally import Floats

HARD, SOFT = 0.97, 0.5  # share of an attacker's votes that follow his rule; the rest is as the history
PER_MODEL = {"promote": 0.66, "promote somewhat": 0.06, "demote": 0.06, "rig": 0.06}
GENERAL = {
    "random": 0.03,
    "coin": 0.02,
    "inverted": 0.02,
    "anti-strong": 0.02,
    "always a": 0.02,
    "always b": 0.02,
    "always tie": 0.02,
    "never tie": 0.01,
}


@dataclass(frozen=True, slots=True)
class Suspicion:
    """`peak`: the highest log10 of E so far; `way`: what explains the votes best; `model`: its position, -1 where it has none."""

    peak: float
    way: str
    model: int

    def flags(self, alpha: float) -> bool:
        return self.peak >= -np.log10(alpha)


def suspect(history: History, ballots: Ballots) -> Suspicion:
    """Of ballots in the order in which they were cast."""
    if not len(ballots):
        return Suspicion(0.0, "", -1)
    gains, names = _log_ratios(history, ballots)
    weight = np.log([_weight(way, model, history.size) for way, model in names])
    paths = np.cumsum(gains, axis=1) + weight[:, None]
    top = paths.max(axis=0)
    mixture = top + np.log(np.exp(paths - top).sum(axis=0))
    at = int(mixture.argmax())
    way, model = names[int(paths[:, at].argmax())]
    return Suspicion(max(0.0, float(mixture[at] / np.log(10))), way, model)


def _weight(way: str, model: int, size: int) -> float:
    return PER_MODEL[way] / size if model >= 0 else GENERAL[way]


def _log_ratios(history: History, ballots: Ballots) -> tuple[Floats, list[tuple[str, int]]]:
    """(ways, N) log q_h / p of each ballot, and what each way is called."""
    chance = history.of_each(ballots)
    said, at = ballots.outcome, np.arange(len(ballots))
    p = chance[at, said]
    coin = np.log(np.full(len(ballots), 1 / 3) / p)
    rows = [np.log(rule(history, ballots, chance)[at, said] / p) for rule in RULES.values()]
    names = [(way, -1) for way in RULES]
    for m in range(history.size):
        with_m = (ballots.a == m) | (ballots.b == m)
        won = (said == np.where(ballots.a == m, A_WON, B_WON)) & with_m
        lost = (said == np.where(ballots.a == m, B_WON, A_WON)) & with_m
        hard_for, soft_for, against = (
            np.where(with_m, np.log((share * hit + (1 - share) * p) / p), 0.0)
            for share, hit in ((HARD, won), (SOFT, won), (HARD, lost))
        )
        rows += [hard_for, soft_for, against, np.where(with_m, hard_for, coin)]
        names += [("promote", m), ("promote somewhat", m), ("demote", m), ("rig", m)]
    return np.array(rows), names


Rule = Callable[[History, Ballots, Floats], Floats]


def _always(outcome: int) -> Rule:
    return lambda _history, _ballots, chance: HARD * np.eye(3)[outcome] + (1 - HARD) * chance


def _weaker(history: History, ballots: Ballots, chance: Floats) -> Floats:
    choice = np.where(history.strength[ballots.a] < history.strength[ballots.b], A_WON, B_WON)
    return np.asarray(HARD * np.eye(3)[choice] + (1 - HARD) * chance)


def _never_ties(_history: History, _ballots: Ballots, chance: Floats) -> Floats:
    decided = chance * np.array([1, 1, 0])
    return np.asarray(HARD * decided / decided.sum(axis=1, keepdims=True) + (1 - HARD) * chance)


RULES: dict[str, Rule] = {
    "random": lambda _history, _ballots, chance: np.full_like(chance, 1 / 3),
    "coin": lambda _history, _ballots, chance: HARD * np.array([0.5, 0.5, 0.0]) + (1 - HARD) * chance,
    "inverted": lambda _history, _ballots, chance: chance[:, [B_WON, A_WON, TIED]],
    "anti-strong": _weaker,
    "always a": _always(A_WON),
    "always b": _always(B_WON),
    "always tie": _always(TIED),
    "never tie": _never_ties,
}
