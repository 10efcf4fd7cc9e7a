"""Where data and sockets are: pure computations that every process must agree on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from arena.embedded import paths
from arena.supervisor.process import Account

STRANGER = Account("stranger", 54321, 54321)


def test_urls_name_the_sockets(var: Path) -> None:
    assert paths.database_url() == f"postgresql://postgres@/agon?host={var}/postgres/run"
    assert paths.redis_url(3) == f"unix://{var}/valkey/run/valkey.sock?db=3"


def test_urls_survive_odd_characters(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGON_VAR", f"{var}/a b&c=d%20é")
    assert conninfo_to_dict(paths.database_url())["host"] == f"{var}/a b&c=d%20é/postgres/run"


def test_a_socket_path_that_is_too_long_gets_a_short_folder(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGON_VAR", f"{var}/{'x' * 90}")
    short = paths.postgres_socket_dir()
    assert short.parent == Path("/tmp")
    assert len(os.fsencode(short / paths.PG_SOCKET_NAME)) <= paths.SOCKET_PATH_LIMIT
    assert short != paths.valkey_socket().parent
    assert short == paths.postgres_socket_dir()


def test_the_limit_is_exact(tmp_path: Path) -> None:
    room = paths.SOCKET_PATH_LIMIT - len(os.fsencode(tmp_path)) - len("/") - len("/s")
    assert paths.short_enough(tmp_path / ("x" * room), "s") == tmp_path / ("x" * room)
    assert paths.short_enough(tmp_path / ("x" * (room + 1)), "s").parent == Path("/tmp")


def test_a_closed_parent_is_noticed(var: Path) -> None:
    var.mkdir()
    inner = var / "data"
    assert paths.accessible(inner, STRANGER)
    var.chmod(0o700)
    assert not paths.accessible(inner, STRANGER)
    assert paths.accessible(inner, None)


def test_ownership_counts_before_others_bits(var: Path, as_root: None) -> None:
    var.mkdir()
    os.chown(var, STRANGER.uid, 0)
    var.chmod(0o077)
    assert not paths.accessible(var / "data", STRANGER)
    var.chmod(0o700)
    assert paths.accessible(var / "data", STRANGER)


def test_roots_servers_leave_a_closed_home(
    var: Path, as_root: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "ROOTS_HOME", tmp_path)
    assert paths.server_root() == var
    var.parent.chmod(0o700)
    assert paths.server_root().parent == tmp_path
    assert paths.run_dir() == var / "run"  # our own files stay


def test_an_unknown_server_user_is_a_clear_error(var: Path, as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGON_SERVER_USER", "nosuchuser")
    with pytest.raises(LookupError, match="AGON_SERVER_USER=nosuchuser: no such user"):
        paths.account()


def test_importing_costs_no_django_and_no_driver() -> None:
    loaded = "{m.partition('.')[0] for m in sys.modules}"
    code = f"import sys, arena.embedded; print(sorted({loaded} & {{'django', 'psycopg', 'redis'}}))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
