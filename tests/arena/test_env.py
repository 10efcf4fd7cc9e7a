"""Environment variables: values from files, lists, and passwords that join an address."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from arena import processes
from arena.demo.roster import engine_url
from arena.embedded import lifecycle
from arena.env import Env, with_password


def test_every_text_and_every_list_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("new-key\nold-key, older-key\n")
    env = Env({"AGON_SEAL_KEYS_FILE": str(tmp_path / "keys"), "AGON_SEAL_KEYS": "ignored"})
    assert env.names("AGON_SEAL_KEYS") == ["new-key", "old-key", "older-key"]
    assert env.text("AGON_SEAL_KEYS") == "new-key\nold-key, older-key"
    with pytest.raises(ImproperlyConfigured, match="AGON_X_FILE=/nowhere: No such file"):
        Env({"AGON_X_FILE": "/nowhere"}).names("AGON_X")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://valkey:6379/0", "redis://:p%40s%2Fs@valkey:6379/0"),
        ("rediss://agon@valkey/1?x=1", "rediss://agon:p%40s%2Fs@valkey/1?x=1"),
        ("redis://:own@valkey/0", "redis://:own@valkey/0"),
        ("redis://[::1]:6379/0", "redis://:p%40s%2Fs@[::1]:6379/0"),
        ("unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=0"),
    ],
)
def test_a_password_joins_an_address_that_has_none(url: str, expected: str) -> None:
    assert with_password(url, "p@s/s") == expected
    assert with_password(url, "") == url


def test_a_url_from_a_file_switches_the_embedded_server_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{name}_FILE", "/run/secrets/url")
    assert lifecycle.servers() == []


def test_an_engine_elsewhere_is_not_started_here(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    assert engine_url().startswith("unix://")
    monkeypatch.setenv("AGON_ENGINE_URL", "http://engine:8400")
    settings.ENGINE_URL = "http://engine:8400"
    assert "engine" not in {row.name for row in processes.table(processes.Layout())}
    assert "engine" in {row.name for row in processes.ours(processes.Layout.containers())}
    assert engine_url() == "http://engine:8400/v1"
