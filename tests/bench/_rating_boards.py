"""Battles for `make bench NAME=ranking`: synthetic boards with committed seeds, or a CSV file of votes.

Synthetic (seeds below): popularity rank^-0.7 in random order; a pair meets in proportion to the product (1M battles, 100 models:
about 20 to 11,000 per pair, median 93); theta ~ N(0, .8); Davidson's ties at nu = .7, about 24 %. Style columns: eight covariates
in [-1, 1], correlated, with effects of .25 to -.05 logits per standard deviation.
"""

from __future__ import annotations

import csv
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
    """A CSV with model_a, model_b, winner; judge and chars_a ... bold_b where it has them.

    Raises ValueError, with the line, for an unknown winner, a model against itself or a missing name.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        table = csv.DictReader(stream)
        columns = table.fieldnames or []
        if missing := {"model_a", "model_b", "winner"} - set(columns):
            raise ValueError(f"{path}: no column {', '.join(sorted(missing))}")
        rows = []
        for row in table:
            if row["winner"] not in WINNERS:
                raise ValueError(f"{path}, line {table.line_num}: unknown winner {row['winner']!r}")
            if not row["model_a"] or not row["model_b"] or row["model_a"] == row["model_b"]:
                raise ValueError(f"{path}, line {table.line_num}: a battle needs two different models")
            rows.append(row)
    models = sorted({row[side] for row in rows for side in ("model_a", "model_b")})
    place = {name: i for i, name in enumerate(models)}
    a, b = (np.array([place[row[side]] for row in rows], np.int32) for side in ("model_a", "model_b"))
    outcome = np.array([WINNERS[row["winner"]] for row in rows], np.int32)
    judge = np.unique([row["judge"] for row in rows], return_inverse=True)[1] if "judge" in columns else None
    if judge is not None:
        judge = np.where([row["judge"] == "" for row in rows], -1, judge)
    return Battles(tuple(models), a, b, outcome, judge, _style(rows, columns))


def _style(rows: list[dict[str, str]], columns: list[str]) -> np.ndarray | None:
    """(N, 4) contrasts of length, headers, lists and bold, where the file has all of them."""
    if any(f"{COUNTS[name]}_{side}" not in columns for name in FEATURES for side in "ab"):
        return None
    sides = [[[float(row[f"{COUNTS[name]}_{side}"]) for name in FEATURES] for row in rows] for side in "ab"]
    return contrast(*sides).astype(np.float32)
