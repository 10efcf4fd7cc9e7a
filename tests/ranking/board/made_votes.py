"""Votes for boards that are fitted, and a figure of all their models."""

import numpy as np

from ranking.estimators.judges import JudgeTally
from ranking.estimators.tally import Tally


def column(board: dict, name: str) -> np.ndarray:
    """A figure of every model, in the order of their names."""
    models = sorted(board["models"], key=lambda model: model["model"])
    return np.array([model[name] for model in models], float)


def made(models: int = 4, per_pair: int = 60, judges: int = 0) -> tuple[Tally, JudgeTally]:
    rng = np.random.default_rng(3)
    a, b = np.triu_indices(models, 1)
    a, b = np.repeat(a, per_pair), np.repeat(b, per_pair)
    outcome = rng.choice(3, len(a), p=[0.5, 0.3, 0.2])
    judge = rng.integers(0, judges, len(a)) if judges else np.full(len(a), -1)
    names = [f"m{i}" for i in range(models)]
    return Tally.of_battles(names, a, b, outcome), JudgeTally.of_battles(names, a, b, outcome, judge)
