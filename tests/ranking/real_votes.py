"""Optional test data: real votes, read into matrices. AGON_TEST_DATA names the folder."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(os.environ.get("AGON_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "ranking"


def file(name: str) -> Path:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is not here (AGON_TEST_DATA names the folder of optional test data)")
    return path


def outcomes(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Model names in order, (K, K) wins of row over column, and symmetric ties."""
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["model_a"] for row in rows} | {row["model_b"] for row in rows})
    place = {name: i for i, name in enumerate(names)}
    wins, ties = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    for row in rows:
        a, b = place[row["model_a"]], place[row["model_b"]]
        if row["winner"] == "tie":
            ties[a, b] += 1
            ties[b, a] += 1
        else:
            wins[(a, b) if row["winner"] == "model_a" else (b, a)] += 1
    return names, wins, ties
