"""docs/settings.md names every variable that the code reads, and none that it does not."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"\b(AGON_[A-Z][A-Z_]*?[A-Z]|DATABASE_URL|REDIS_URL)(?:_FILE)?\b")  # NAME_FILE is NAME, from a file
ELSEWHERE = {"AGON_TORCH_INDEX", "AGON_TEST_DATA"}  # the Makefile's and the tests'


def read_by_code() -> set[str]:
    quoted = re.compile(r"""["'](AGON_[A-Z_]+?|DATABASE_URL|REDIS_URL)(?:_FILE)?["']""")
    files = [
        path
        for folder in ("arena", "inference", "ranking", "datasets", "kernels")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 100
    return {name for path in files for name in quoted.findall(path.read_text())}


def test_every_variable_is_documented_and_every_documented_one_exists() -> None:
    documented = set(NAME.findall((ROOT / "docs" / "settings.md").read_text()))
    assert read_by_code() - documented == set()
    assert documented - read_by_code() - ELSEWHERE == set()
