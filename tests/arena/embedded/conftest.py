"""An installation of its own for each test: no URL set, var/ in a fresh folder that the servers' user can enter."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def var(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="agon-embedded-", dir="/tmp"))
    folder.chmod(0o711)
    monkeypatch.setenv("AGON_VAR", str(folder / "var"))
    for name in ("DATABASE_URL", "REDIS_URL", "AGON_POSTGRES_BIN", "AGON_VALKEY_SERVER", "AGON_SERVER_USER"):
        monkeypatch.delenv(name, raising=False)
    yield folder / "var"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("what root's servers run as can only be tested as root")
