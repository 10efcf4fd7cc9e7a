"""What everybody else says about each pair: the outcome probabilities that a voter's ballots are held against.

A pair's probabilities are the shares of its past battles, drawn towards the Bradley-Terry fit of all pairs as if that were
PRIOR further battles. So a pair with few battles borrows from the others, and no outcome has the probability 0. "Both bad" is
a tie.

Everything is a function of the pair and of who was preferred, never of the order in which models are listed: renaming the
models changes no result (FastChat's outlier rule flags up to 20 % of honest voters when models are sorted by strength).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.estimators.tally import Floats, Ints, Pairs, Tally

PRIOR = 20.0  # battles that the fit of all pairs is worth
LEAST = 0.01  # no outcome is rarer than that
STEPS, STEP = 200, 0.7
A_WON, B_WON, TIED = 0, 1, 2
SCORE = np.array([1.0, 0.0, 0.5])  # of the model shown as A
TURNED = np.array([B_WON, A_WON, TIED])


@dataclass(frozen=True, slots=True, eq=False)
class Ballots:
    """N votes in the order in which they were cast: positions of the models shown as A and B, and A_WON, B_WON or TIED."""

    a: Ints
    b: Ints
    outcome: Ints

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike, outcome: ArrayLike) -> "Ballots":
        """From an Outcome of Tally as well: "both bad" becomes TIED. Raises ValueError for columns of different lengths."""
        columns = [np.asarray(column, np.int64) for column in (a, b, outcome)]
        if len({len(column) for column in columns}) != 1:
            raise ValueError("a, b and outcome must have one length")
        return cls(columns[0], columns[1], np.minimum(columns[2], TIED))

    def __len__(self) -> int:
        return len(self.a)

    def then(self, more: "Ballots") -> "Ballots":
        """These, and `more` after them."""
        return Ballots(
            np.concatenate([self.a, more.a]),
            np.concatenate([self.b, more.b]),
            np.concatenate([self.outcome, more.outcome]),
        )

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "Ballots":
        return Ballots(self.a[chosen], self.b[chosen], self.outcome[chosen])


@dataclass(frozen=True, eq=False)
class History:
    """`ended[i, j]`: (K, K, 3) battles that i won, that j won, tied; what i says of j is what j says of i, turned round.

    `strength`: (K,) half-win Bradley-Terry logits with a weak pull to the mean (one tied battle per model), sum 0. `ties`: the
    share of ties among all battles.
    """

    ended: Floats
    strength: Floats
    ties: float

    @classmethod
    def of(cls, tally: Tally) -> "History":
        pairs = tally.pairs()
        ended = np.zeros((pairs.size, pairs.size, 3))
        tied = pairs.tied + pairs.both_bad
        for i, j, won, lost in ((pairs.first, pairs.second, 0, 1), (pairs.second, pairs.first, 1, 0)):
            ended[i, j, won], ended[i, j, lost], ended[i, j, TIED] = pairs.won, pairs.lost, tied
        return cls(ended, _strength(ended), float(ended[..., TIED].sum() / max(ended.sum(), 1.0)))

    @classmethod
    def of_ballots(cls, size: int, ballots: Ballots) -> "History":
        return cls.of(Tally.of_battles([str(i) for i in range(size)], ballots.a, ballots.b, ballots.outcome))

    def without(self, ballots: Ballots) -> "History":
        """Less a voter's own counted ballots: nobody is compared with himself. The fit of all pairs stays as it is."""
        ended = self.ended.copy()
        np.add.at(ended, (ballots.a, ballots.b, ballots.outcome), -1)
        np.add.at(ended, (ballots.b, ballots.a, TURNED[ballots.outcome]), -1)
        return History(np.maximum(ended, 0), self.strength, self.ties)

    def plus(self, ballots: Ballots) -> "History":
        """With further ballots, fitted anew."""
        ended = self.ended.copy()
        np.add.at(ended, (ballots.a, ballots.b, ballots.outcome), 1)
        np.add.at(ended, (ballots.b, ballots.a, TURNED[ballots.outcome]), 1)
        return History(ended, _strength(ended), float(ended[..., TIED].sum() / max(ended.sum(), 1.0)))

    def pairs(self) -> Pairs:
        """As the estimators want them."""
        first, second = np.nonzero(np.triu(self.battles, 1))
        won, lost, tied = self.ended[first, second].T.copy()
        return Pairs(self.size, first, second, won, lost, tied, np.zeros(len(first)))

    @property
    def size(self) -> int:
        return len(self.ended)

    @cached_property
    def battles(self) -> Floats:
        """(K, K)"""
        return np.asarray(self.ended.sum(axis=2))

    def of_each(self, ballots: Ballots) -> Floats:
        """(N, 3): the chances of A_WON, B_WON and TIED for each ballot; each row sums to one."""
        chance = 1 / (1 + np.exp(self.strength[ballots.b] - self.strength[ballots.a]))
        model = np.stack([chance - self.ties / 2, 1 - chance - self.ties / 2, np.full_like(chance, self.ties)], axis=1)
        blended = self.ended[ballots.a, ballots.b] + PRIOR * np.maximum(model, LEAST)
        return np.asarray(blended / blended.sum(axis=1, keepdims=True))


def _strength(ended: Floats) -> Floats:
    """Diagonal Newton steps on the half-win likelihood; stops when nothing moves by a hundredth of a logit."""
    battles = ended.sum(axis=2)
    scored = (ended[..., 0] + ended[..., TIED] / 2).sum(axis=1) + 0.5
    theta = np.zeros(len(ended))
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
        own = 1 / (1 + np.exp(-theta))
        slope = (battles * chance * (1 - chance)).sum(axis=1) + own * (1 - own)
        move = STEP * np.clip((scored - (battles * chance).sum(axis=1) - own) / slope, -1, 1)
        theta = theta + move
        if np.abs(move).max(initial=0) < 0.001:
            break
    return np.asarray(theta - theta.mean()) if len(theta) else theta
