"""Seven ways to rig a board: Min et al., "Improving Your Model Ranking on Chatbot Arena by Vote Rigging" (ICML 2025,
2501.17858).

Kept: battles are drawn uniformly over pairs; the rigger knows who answers (the paper's classifier, here without errors, which
favours him) and the board's counts; target-only strategies let the target win its battles and in the others vote at random or
abstain (`t-random`), always a tie (`t-tie`), abstain (`t-abstain`), or like an honest person (`t-normal`); omnipresent ones
use every battle: `o-online` takes the outcome after which an Elo update with K = 4 leaves the target with the highest summed
chance to beat the two, or abstains; `o-bt-abs` the one that raises the target's Bradley-Terry rating most, `o-bt-diff` the
one that raises it most against the model one rank above (below, for the first).

Different: the paper counts battles, abstentions included; here a vote is a vote that was cast, and battles go on until there
are as many as asked for, which makes `t-abstain` far stronger. The two o-bt use the influence of one more vote, H^-1 (y - p)
(e_a - e_b), on the fit as it stands after every REFIT votes, where the paper refits after each. Test:
tests/ranking/rigging/test_rigging.py.
"""

from collections.abc import Callable

import numpy as np

from ranking.detectors.history import A_WON, B_WON, SCORE, TIED, Ballots, History
from ranking.estimators.bradley_terry import NoFiniteEstimate, Prior, fit
from ranking.estimators.tally import Floats, Ints

ABSTAIN = -1
ELO_K = 4 / 173.718  # rating points -> logits
REFIT = 100
LEANING = np.array([A_WON, B_WON, TIED])


def ratings(history: History) -> Floats:
    """(K,) Bradley-Terry logits; with the named weak prior where a model is unbeaten, winless or apart."""
    try:
        return fit(history.pairs()).theta
    except NoFiniteEstimate:
        return fit(history.pairs(), prior=Prior.VIRTUAL_OPPONENT).theta


class Rigger:
    """Draws battles and votes in them; knows the counts, and what its own votes have done to them."""

    def __init__(self, history: History, target: int, seed: int) -> None:
        self.history, self.target, self.rng = history, target, np.random.default_rng(seed)
        self._look()

    def votes(self, strategy: str, number: int) -> Ballots:
        """`number` votes that were cast, in order. Raises KeyError for an unknown strategy."""
        decide, cast, seen = STRATEGIES[strategy], Ballots.of([], [], []), 0
        while len(cast) < number:
            a, b = self._battles(REFIT)
            said = decide(self, a, b)
            cast = cast.then(Ballots.of(a, b, said).take(np.flatnonzero(said != ABSTAIN)[: number - len(cast)]))
            if len(cast) - seen >= REFIT:
                self.history = self.history.plus(cast.take(slice(seen, None)))
                self._look()
                seen = len(cast)
        return cast

    def _battles(self, number: int) -> tuple[Ints, Ints]:
        a = self.rng.integers(0, self.history.size, number)
        return a, (a + self.rng.integers(1, self.history.size, number)) % self.history.size

    def _look(self) -> None:
        """Ratings, who is one rank above, and how each model's score moves the ratings."""
        self.theta = ratings(self.history)
        chance = 1 / (1 + np.exp(self.theta[None, :] - self.theta[:, None]))
        weight = self.history.battles * chance * (1 - chance)
        self.inverse = np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)
        order = np.argsort(-self.theta)
        place = int(np.flatnonzero(order == self.target)[0])
        self.rival = int(order[place - 1 if place else 1])

    def for_target(self, a: Ints, b: Ints, otherwise: Ints) -> Ints:
        said = np.where(a == self.target, A_WON, np.where(b == self.target, B_WON, otherwise))
        return np.asarray(said)


def _t_random(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    return rigger.for_target(a, b, rigger.rng.integers(ABSTAIN, TIED + 1, len(a)))


def _t_tie(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    return rigger.for_target(a, b, np.full(len(a), TIED))


def _t_abstain(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    return rigger.for_target(a, b, np.full(len(a), ABSTAIN))


def _t_normal(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    chance = rigger.history.of_each(Ballots.of(a, b, np.zeros(len(a))))
    honest = (rigger.rng.random(len(a))[:, None] > chance.cumsum(axis=1)[:, :2]).sum(axis=1)
    return rigger.for_target(a, b, honest)


def _o_online(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    theta = rigger.theta
    expected = 1 / (1 + np.exp(theta[b] - theta[a]))
    rewards = []
    for outcome in (*LEANING, ABSTAIN):
        step = ELO_K * (SCORE[outcome] - expected) if outcome != ABSTAIN else np.zeros(len(a))
        rest = theta[rigger.target]
        beats = [1 / (1 + np.exp(after - rest)) for after in (theta[a] + step, theta[b] - step)]
        rewards.append(beats[0] + beats[1])
    best = np.array([*LEANING, ABSTAIN])[np.argmax(rewards, axis=0)]
    return rigger.for_target(a, b, best)


def _o_bt(rigger: Rigger, a: Ints, b: Ints, against: Floats) -> Ints:
    """The outcome that moves theta_target - against . theta most: a vote for one side, unless nothing gains."""
    lever = rigger.inverse[rigger.target] - against
    gain = lever[a] - lever[b]
    best = np.where(gain > 0, A_WON, B_WON)
    return rigger.for_target(a, b, best)


def _o_bt_abs(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    return _o_bt(rigger, a, b, np.zeros(rigger.history.size))


def _o_bt_diff(rigger: Rigger, a: Ints, b: Ints) -> Ints:
    return _o_bt(rigger, a, b, np.asarray(rigger.inverse[rigger.rival]))


STRATEGIES: dict[str, Callable[[Rigger, Ints, Ints], Ints]] = {
    "t-random": _t_random,
    "t-tie": _t_tie,
    "t-abstain": _t_abstain,
    "t-normal": _t_normal,
    "o-online": _o_online,
    "o-bt-abs": _o_bt_abs,
    "o-bt-diff": _o_bt_diff,
}
