"""From pair-outcome counts to a board: ratings, intervals, ranks, win rates, as plain JSON. No Django.

The board names models by the ids it was given; the pages put names to them when they are shown, so that a model under a
codename needs no new fit on the day it is revealed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranking import board_format, method
from ranking.board_format import Model, State, Why
from ranking.estimators import bootstrap
from ranking.estimators.bradley_terry import fit, to_rating
from ranking.estimators.connectivity import Standing, ranked_group
from ranking.estimators.tally import Floats, Pairs


@dataclass(frozen=True, slots=True)
class Cell:
    """`count` battles of `first` against `second` that ended in `outcome`: first, second, tie or both_bad."""

    first: str
    second: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Table:
    """What the cells say about K models: (K, K) outright wins of row over column, and symmetric ties."""

    models: tuple[str, ...]
    wins: Floats
    ties: Floats

    @property
    def points(self) -> Floats:
        """A tie is half a win for each; "both bad" is a tie."""
        return np.asarray(self.wins + self.ties / 2)

    @property
    def battles(self) -> Floats:
        return np.asarray(self.wins + self.wins.T + self.ties)

    def pairs(self, members: np.ndarray | None = None) -> Pairs:
        """The pairs that have met; among `members` (positions) only, numbered in their order."""
        chosen = np.arange(len(self.models)) if members is None else members
        square = np.ix_(chosen, chosen)
        wins, ties = self.wins[square], self.ties[square]
        first, second = np.nonzero(np.triu(wins + wins.T + ties))
        won, lost, tied = wins[first, second], wins[second, first], ties[first, second]
        return Pairs(len(chosen), first, second, won, lost, tied, np.zeros(len(first)))


def tabulate(cells: Iterable[Cell]) -> Table:
    """Models in the order of their ids; the cells in any order. Raises ValueError for an unknown outcome."""
    cells = [cell for cell in cells if cell.count]
    models = tuple(sorted({name for cell in cells for name in (cell.first, cell.second)}))
    place = {name: i for i, name in enumerate(models)}
    wins, ties = np.zeros((len(models), len(models))), np.zeros((len(models), len(models)))
    for cell in cells:
        i, j = place[cell.first], place[cell.second]
        if cell.outcome in ("tie", "both_bad"):
            ties[i, j] += cell.count
            ties[j, i] += cell.count
        elif cell.outcome in ("first", "second"):
            wins[(i, j) if cell.outcome == "first" else (j, i)] += cell.count
        else:
            raise ValueError(f"unknown outcome {cell.outcome!r}: expected first, second, tie or both_bad")
    return Table(models, wins, ties)


def rank_bounds(lower: Floats, upper: Floats) -> tuple[np.ndarray, np.ndarray]:
    """(K,), (K,) interval ends -> best and worst rank that they leave open; the best one is the shown rank.

    best = 1 + models whose lower bound is above my upper bound; worst = K - models whose upper bound is below my lower one.
    """
    best = 1 + (lower[None, :] > upper[:, None]).sum(axis=1)
    worst = len(lower) - (upper[None, :] < lower[:, None]).sum(axis=1)
    return best, worst


def build(cells: Iterable[Cell], seed: int, replicates: int = method.REPLICATES) -> dict[str, Any]:
    """The whole board as JSON; `state` is empty, too_few (no two models can be fitted together) or fitted."""
    table = tabulate(cells)
    group = ranked_group(table.pairs())
    fitted = _fit(table, group.members, seed, replicates)
    rows = [_row(table, i, group.standing[i], fitted.get(i)) for i in range(len(table.models))]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -(row.rating or 0.0), row.model))
    helped = next(iter(fitted.values()))["helped"] if fitted else 0
    made = board_format.Board(
        version=method.VERSION,
        state=State.FITTED if fitted else State.TOO_FEW if rows else State.EMPTY,
        method=_method(replicates, helped),
        models=rows,
        pairs=_pairs(table, [row.model for row in rows]),
        why=dict.fromkeys(board_format.FIGURES, Why.OLDER_METHOD if fitted else Why.TOO_FEW),
    )
    return made.as_json()


def _method(replicates: int, helped: int) -> dict[str, Any]:
    return {
        "model": "Bradley-Terry, maximum likelihood",
        "ties": "half a win for each; both bad counts as a tie",
        "centre": method.CENTRE,
        "scale": method.SCALE,
        "gauge": "mean of the ranked models",
        "interval": "percentile bootstrap",
        "level": board_format.Level.BATTLE,
        "confidence": method.CONFIDENCE,
        "replicates": replicates,
        "helped_replicates": helped,
    }


def _fit(table: Table, members: np.ndarray, seed: int, replicates: int) -> dict[int, dict[str, Any]]:
    """Figures of the ranked group by position; {} when no two models can be fitted together."""
    if not len(members):
        return {}
    pairs = table.pairs(members)
    theta = fit(pairs).theta
    drawn = bootstrap.multinomial(pairs, theta, seed, replicates)
    lower, upper = bootstrap.percentiles(drawn.thetas)
    best, worst = rank_bounds(lower, upper)
    figures = zip(to_rating(theta), to_rating(lower), to_rating(upper), best, worst, strict=True)
    return {
        int(member): {
            "rating": float(rating),
            "lower": float(low),
            "upper": float(high),
            "rank": int(top),
            "rank_worst": int(bottom),
            "helped": drawn.helped,
        }
        for member, (rating, low, high, top, bottom) in zip(members, figures, strict=True)
    }


def _row(table: Table, i: int, standing: Standing, figures: dict[str, Any] | None) -> Model:
    battles, points = float(table.battles[i].sum()), float(table.points[i].sum())
    figures = figures or {}
    return Model(
        model=table.models[i],
        standing=str(standing),
        **{name: figures.get(name) for name in ("rank", "rank_worst", "rating", "lower", "upper")},
        votes=int(battles),
        wins=int(table.wins[i].sum()),
        losses=int(table.wins[:, i].sum()),
        ties=int(table.ties[i].sum()),
        win_rate=points / battles,
    )


def _pairs(table: Table, order: Sequence[str]) -> dict[str, Any]:
    """Battles, points and ties of row against column, in the order of the board; a win rate is points / battles.

    `fit_order` lists rows of the board in the order they were fitted in, which the seed's replicates depend on.
    """
    place = [table.models.index(name) for name in order]
    square = np.ix_(place, place)
    return {
        "fit_order": np.argsort(place).tolist(),
        "ties": table.ties[square].astype(int).tolist(),
        "battles": table.battles[square].astype(int).tolist(),
        "points": table.points[square].tolist(),
    }
