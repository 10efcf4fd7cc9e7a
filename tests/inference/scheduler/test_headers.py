"""The header of each file of the scheduler says which tests show it, and these exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
FILES = sorted((PROJECT / "inference" / "scheduler").glob("[!_]*.py"))
# Interfaces, and what only the simulator feeds on (its own tests run through all of it).
WITHOUT = {"protocol.py", "order.py", "arrivals.py", "engine_model.py", "cost_profile.py"}
NAMED = re.compile(r"(?:(tests/[a-z_/]+)/)?(test_[a-z_0-9]+\.py)")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_tests_that_a_header_names_exist(file: Path) -> None:
    header = ast.get_docstring(ast.parse(file.read_text())) or ""
    told = header.partition("Test")[2]
    folder, named = "tests/inference/scheduler", []
    for place, name in NAMED.findall(told):
        folder = place or folder
        named.append(PROJECT / folder / name)
    assert named or file.name in WITHOUT
    assert [path for path in named if not path.is_file()] == []
