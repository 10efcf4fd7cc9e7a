"""Battles for `make bench NAME=ranking`: synthetic boards with committed seeds, or a file of votes.

Synthetic (seeds below): popularity rank^-0.7 in random order; a pair meets in proportion to the product (1M battles, 100 models:
about 20 to 11,000 per pair, median 93); theta ~ N(0, .8); Davidson's ties at nu = .7, about 24 %. Style columns: eight covariates
in [-1, 1], correlated, with effects of .25 to -.05 logits per standard deviation.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from ranking.estimators.style_rows import FEATURES, contrast
from ranking.estimators.tally import Outcome, Tally
from ranking.imports.reading import rows

SEED = 20261126
NU, SKEW, SPREAD = 0.7, 0.7, 0.8
COVARIATES = 8
EFFECTS = np.array([0.25, 0.05, 0.03, 0.02, 0.0, -0.05, 0.1, 0.0])
ENDS = {"a": Outcome.FIRST, "b": Outcome.SECOND, "tie": Outcome.TIE, "both_bad": Outcome.BOTH_BAD}  # of Row.choice


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
    """A file of any format that the importer knows; judges and style counts where all votes have them. Memory: columns, no rows.

    Raises imports.row.BadFile (a ValueError), with the lines; votes that do not count (not blind) are passed over.
    """
    models, judges = defaultdict[str, int](count().__next__), {"": -1}
    codes, counts = {name: array("i") for name in ("a", "b", "outcome", "judge")}, array("f")
    for row in rows(path):
        if not row.ranked:
            continue
        codes["a"].append(models[row.model_a])
        codes["b"].append(models[row.model_b])
        codes["outcome"].append(ENDS[row.choice])
        codes["judge"].append(judges.setdefault(row.judge, len(judges) - 1))
        counts.extend(row.style or ())
    if not models:
        raise ValueError(f"{path}: no vote counts")
    names = sorted(models)
    order = np.empty(len(names), np.int32)
    order[[models[name] for name in names]] = np.arange(len(names))
    columns = {name: np.array(column, np.int32) for name, column in codes.items()}
    features = None
    if len(counts) == 2 * len(FEATURES) * len(codes["a"]):
        sides = np.array(counts, np.float32).reshape(-1, len(FEATURES), 2)  # in the order of imports.row.STYLE
        features = contrast(sides[:, :, 0], sides[:, :, 1]).astype(np.float32)
    judge = columns["judge"] if len(judges) > 1 else None
    return Battles(tuple(names), order[columns["a"]], order[columns["b"]], columns["outcome"], judge, features)
