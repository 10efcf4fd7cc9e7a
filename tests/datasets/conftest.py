"""What every test of releases needs."""

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture
def releases_dir(settings: Settings, tmp_path: Path) -> Path:
    """Where this test's releases lie."""
    settings.RELEASES_DIR = tmp_path / "releases"
    return settings.RELEASES_DIR
