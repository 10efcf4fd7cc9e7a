"""Battles for `make bench NAME=ranking`: synthetic boards with committed seeds, or a CSV file of votes.

Synthetic (seeds below): popularity rank^-0.7 in random order; a pair meets in proportion to the product (1M battles, 100 models:
about 20 to 11,000 per pair, median 93); theta ~ N(0, .8); Davidson's ties at nu = .7, about 24 %. Style columns: eight covariates
in [-1, 1], correlated, with effects of .25 to -.05 logits per standard deviation.
"""

from __future__ import annotations

import csv
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ranking.estimators.style_rows import FEATURES, contrast
from ranking.estimators.tally import Outcome, Tally

SEED = 20261126
NU, SKEW, SPREAD = 0.7, 0.7, 0.8
COVARIATES = 8
EFFECTS = np.array([0.25, 0.05, 0.03, 0.02, 0.0, -0.05, 0.1, 0.0])
WINNERS = {
    "model_a": Outcome.FIRST,
    "model_b": Outcome.SECOND,
    "tie": Outcome.TIE,
    "both_bad": Outcome.BOTH_BAD,
    "tie (bothbad)": Outcome.BOTH_BAD,
}
COUNTS = {"length": "chars", "headers": "headers", "lists": "lists", "bold": "bold"}  # covariate -> columns of the file


@dataclass(frozen=True, slots=True, eq=False)
class Battles:
    """N battles: positions shown as A and B, Outcome codes, (N,) judges or None, (N, F) covariates or None."""

    models: tuple[str, ...]
    a: np.ndarray
    b: np.ndarray
    outcome: np.ndarray
    judge: np.ndarray | None = None
    features: np.ndarray | None = None

    def tally(self) -> Tally:
        return Tally.of_battles(self.models, self.a, self.b, self.outcome)


def counts(size: int, battles: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(P,) first, (P,) second, (P, 3) wins, losses and ties of every pair, and (K,) theta."""
    rng = np.random.default_rng(seed + size)
    share = rng.permutation(np.arange(1, size + 1) ** -SKEW)
    theta = rng.normal(0.0, SPREAD, size)
    first, second = np.triu_indices(size, 1)
    weight = share[first] * share[second]
    met = rng.multinomial(battles, weight / weight.sum())
    gap = theta[first] - theta[second]
    chances = np.column_stack([np.exp(gap / 2), np.exp(-gap / 2), np.full(len(gap), NU)])
    return first, second, rng.multinomial(met, chances / chances.sum(axis=1, keepdims=True)), theta


def stored(size: int, battles: int) -> Tally:
    """The same board as the database holds it: counts of cells."""
    first, second, outcomes, _theta = counts(size, battles)
    pair, outcome = np.nonzero(outcomes)
    count = outcomes[pair, outcome].astype(float)
    columns = first[pair], second[pair], np.ones(len(pair), bool), outcome
    return Tally(names(size), *columns, count, count, count)


def synthetic(size: int, battles: int) -> Battles:
    """The same board as rows, sides drawn at random."""
    rng = np.random.default_rng(SEED + 1)
    first, second, outcomes, _theta = counts(size, battles)
    cells = outcomes.ravel()
    pair, outcome = np.divmod(np.repeat(np.arange(len(cells)), cells), 3)
    turned = rng.random(battles) < 0.5
    a, b = np.where(turned, second[pair], first[pair]), np.where(turned, first[pair], second[pair])
    order = rng.permutation(battles)
    outcome = np.where(turned & (outcome < 2), 1 - outcome, outcome)
    return Battles(names(size), *(column[order].astype(np.int32) for column in (a, b, outcome)))


def styled(size: int, battles: int) -> Battles:
    """Rows whose outcomes follow theta and eight covariates (in [-1, 1], pairwise correlated); no ties."""
    rng = np.random.default_rng(SEED + 2)
    first, second, outcomes, theta = counts(size, battles)
    pair = np.repeat(np.arange(len(first)), outcomes.sum(axis=1))[rng.permutation(battles)]
    features = rng.normal(size=(battles, COVARIATES)).astype(np.float32)
    features = np.tanh(0.6 * features + 0.4 * features[:, :1])
    gap = theta[first[pair]] - theta[second[pair]] + features @ (EFFECTS / features.std(axis=0))
    outcome = (rng.random(battles) > 1 / (1 + np.exp(-gap))).astype(np.int32)
    a, b = first[pair].astype(np.int32), second[pair].astype(np.int32)
    return Battles(names(size), a, b, outcome, features=features)


def names(size: int) -> tuple[str, ...]:
    return tuple(f"model-{i:03}" for i in range(size))


def read(path: Path) -> Battles:
    """A CSV with model_a, model_b, winner; judge and chars_a ... bold_b where it has them. Memory: columns, no rows.

    Raises ValueError, with the line, for an unknown winner, a model against itself, a missing name or a count that is none.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        table = csv.reader(stream)
        header = next(table, [])
        if missing := {"model_a", "model_b", "winner"} - set(header):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        columns = _Columns(header)
        for row in table:
            try:
                columns.add(row)
            except (ValueError, IndexError) as error:
                raise ValueError(f"{path}, line {table.line_num}: {error}") from None
    return columns.battles()


class _Columns:
    """Codes of a file's battles, a few bytes each."""

    def __init__(self, header: list[str]) -> None:
        self.place = {name: i for i, name in enumerate(header)}
        self.models: dict[str, int] = {}
        self.judges: dict[str, int] = {"": -1}
        self.codes = {name: array("i") for name in ("a", "b", "outcome", "judge")}
        self.counts = array("f")
        styled = [f"{COUNTS[name]}_{side}" for side in "ab" for name in FEATURES]
        self.styled = [self.place[name] for name in styled] if set(styled) <= set(header) else []

    def add(self, row: list[str]) -> None:
        winner, models = row[self.place["winner"]], [row[self.place[side]] for side in ("model_a", "model_b")]
        if winner not in WINNERS:
            raise ValueError(f"unknown winner {winner!r}")
        if not all(models) or models[0] == models[1]:
            raise ValueError("a battle needs two different models")
        self.counts.extend([float(row[i]) for i in self.styled])
        for side, name in zip("ab", models, strict=True):
            self.codes[side].append(self.models.setdefault(name, len(self.models)))
        self.codes["outcome"].append(WINNERS[winner])
        if "judge" in self.place:
            self.codes["judge"].append(self.judges.setdefault(row[self.place["judge"]], len(self.judges) - 1))

    def battles(self) -> Battles:
        """With the models in the order of their names."""
        names = sorted(self.models)
        order = np.empty(len(names), np.int32)
        order[[self.models[name] for name in names]] = np.arange(len(names))
        codes = {name: np.array(column, np.int32) for name, column in self.codes.items()}
        features = None
        if self.styled:
            sides = np.array(self.counts, np.float32).reshape(-1, 2, len(FEATURES))
            features = contrast(sides[:, 0], sides[:, 1]).astype(np.float32)
        judge = codes["judge"] if "judge" in self.place else None
        return Battles(tuple(names), order[codes["a"]], order[codes["b"]], codes["outcome"], judge, features)
