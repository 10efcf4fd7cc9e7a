"""Optional test data: what the authors of the papers published. AGON_TEST_DATA names the folder of all such data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("AGON_TEST_DATA") or Path(__file__).parents[3] / "../shared/data") / "serving"


def file(name: str) -> Path:
    """The path of a file there; the test is skipped where it is not."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is not here (AGON_TEST_DATA names the folder of optional test data)")
    return path
