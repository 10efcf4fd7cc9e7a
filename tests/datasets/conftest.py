"""What every test of releases needs."""

import importlib.util
from pathlib import Path

import pytest
from pytest_django import Settings

from datasets import rules


@pytest.fixture(autouse=True)
def detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("arena.moderation.enrichment") is None:
        monkeypatch.setattr(rules, "detectors_version", lambda: "1")


@pytest.fixture
def releases_dir(settings: Settings, tmp_path: Path) -> Path:
    """Where this test's releases lie."""
    settings.RELEASES_DIR = tmp_path / "releases"
    return settings.RELEASES_DIR
