"""The plain counts of a board: of each model, and of each pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranking.estimators import position
from ranking.estimators.tally import Floats, Tally


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Of K models: (K, K) outright wins of row over column, symmetric ties ("both bad" among them) and symmetric both bad.

    `first_rate`: (K,) share of a model's battles in which it was shown as A.
    """

    models: tuple[str, ...]
    wins: Floats
    ties: Floats
    both_bad: Floats
    first_rate: Floats

    @classmethod
    def of(cls, tally: Tally) -> "Table":
        pairs, square = tally.pairs(), (tally.size, tally.size)
        wins, ties, both_bad = np.zeros(square), np.zeros(square), np.zeros(square)
        wins[pairs.first, pairs.second], wins[pairs.second, pairs.first] = pairs.won, pairs.lost
        ties[pairs.first, pairs.second] = ties[pairs.second, pairs.first] = pairs.tied + pairs.both_bad
        both_bad[pairs.first, pairs.second] = both_bad[pairs.second, pairs.first] = pairs.both_bad
        return cls(tally.models, wins, ties, both_bad, position.share_first(tally))

    @property
    def points(self) -> Floats:
        """A tie is half a win for each; "both bad" is a tie."""
        return np.asarray(self.wins + self.ties / 2)

    @property
    def battles(self) -> Floats:
        return np.asarray(self.wins + self.wins.T + self.ties)

    def of_model(self, i: int) -> dict[str, Any]:
        """The counts that board_format.Model has; `ties` hold "both bad" too."""
        votes = float(self.battles[i].sum())
        return {
            "votes": int(votes),
            "wins": int(self.wins[i].sum()),
            "losses": int(self.wins[:, i].sum()),
            "ties": int(self.ties[i].sum()),
            "both_bad": int(self.both_bad[i].sum()),
            "win_rate": float(self.points[i].sum()) / votes,
            "first_rate": float(self.first_rate[i]),
        }

    def of_pairs(self, order: Sequence[str]) -> dict[str, Any]:
        """Battles, points, ties and both bad of row against column, in the order of the board.

        A win rate is points / battles, wins are points - ties / 2. `fit_order` lists rows of the board in the order in which
        they were fitted, which the seed's replicates depend on.
        """
        place = [self.models.index(name) for name in order]
        square = np.ix_(place, place)
        return {
            "fit_order": np.argsort(place).tolist(),
            "ties": self.ties[square].astype(int).tolist(),
            "both_bad": self.both_bad[square].astype(int).tolist(),
            "battles": self.battles[square].astype(int).tolist(),
            "points": self.points[square].tolist(),
        }
