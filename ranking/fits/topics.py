"""How discriminating the prompts of each category are: how often a board's strong models beat its weak ones there.

Stored with the overall board, so it changes when that is published. Strong and weak are the upper and lower thirds of the overall
board (`ranking.estimators.discrimination`). Shown by tests/ranking/fits/test_topics.py.
"""

from dataclasses import asdict
from typing import Any

from ranking.fits import reading
from ranking.fits.boards import OVERALL, Key
from ranking.models import PairCount


def measure(origin: str, board: dict[str, Any], public: bool = False) -> dict[str, Any] | None:
    """The figures of every category with counted votes as JSON; None without two rated models or without a category.

    `public`: as the public log stands. Call under the counts' lock.
    """
    import numpy as np

    from ranking.estimators import discrimination

    models = tuple(sorted(row["model"] for row in board["models"]))
    ratings = {row["model"]: row["rating"] for row in board["models"]}
    theta = np.array([np.nan if ratings[name] is None else ratings[name] for name in models], float)
    names = _categories(origin)
    if not names or (~np.isnan(theta)).sum() < 2:
        return None
    strong, weak = discrimination.thirds(theta)
    tallies = {name: _tally(Key(origin, name), models, public) for name in names}
    found = discrimination.by_topic(tallies, strong, weak)
    return {
        "strong": [models[i] for i in strong],
        "weak": [models[i] for i in weak],
        "topics": {name: asdict(one) for name, one in found.topics.items()},
        "mean": found.mean,
        "why": found.why,
    }


def _categories(origin: str) -> list[str]:
    counted = PairCount.objects.filter(origin=origin, count__gt=0).exclude(category=OVERALL)
    return sorted(set(counted.values_list("category", flat=True)))


def _tally(key: Key, models: tuple[str, ...], public: bool) -> Any:
    """A contestant that is not on the board (its votes are all out) is in no third, and its cells are left out."""
    from ranking.estimators.tally import Cell, Tally

    rows = [row for row in reading.cells(key, public) if {row[0], row[1]} <= set(models)]
    return Tally.of_cells([Cell(row[0], row[1], row[3], row[4], row[2]) for row in rows], models)
