"""The key file and the listening sockets: safe from the first moment, clear when they cannot be used."""

from __future__ import annotations

import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference.engine.__main__ import listen, parser
from inference.engine.config import ConfigError
from inference.engine.keys import authorised, engine_key
from inference.engine.sockets import is_loopback, listen_tcp, listen_unix


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "var" / "engine.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: engine_key(path, {}), range(16)))
    assert len(keys) == 1, "first starts at once agree"
    assert len(keys.pop()) >= 40
    assert mode(path) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["engine.key"], "no drafts are left"


def test_a_readable_key_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "engine.key"
    path.write_text("k" * 20)
    path.chmod(0o644)
    assert engine_key(path, {}) == "k" * 20
    assert mode(path) == 0o600


def test_the_environment_wins_and_bad_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine.key"
    assert engine_key(path, {"AGON_ENGINE_KEY": "from-the-environment"}) == "from-the-environment"
    assert not path.exists()
    with pytest.raises(ConfigError, match="AGON_ENGINE_KEY must have at least 16"):
        engine_key(path, {"AGON_ENGINE_KEY": "short"})
    path.write_text("")
    with pytest.raises(ConfigError, match=r"engine\.key must have"):
        engine_key(path, {})
    with pytest.raises(ConfigError, match="--key-file"):
        engine_key(tmp_path, {})


def test_a_named_secret_file_is_read_and_never_made(tmp_path: Path) -> None:
    secret, made = tmp_path / "engine_key", tmp_path / "var" / "engine.key"
    environ = {"AGON_ENGINE_KEY_FILE": str(secret)}
    with pytest.raises(ConfigError, match="AGON_ENGINE_KEY_FILE=.*cannot be read"):
        engine_key(made, environ)
    secret.write_text("from-a-secret-file\n")
    secret.chmod(0o444)
    assert engine_key(made, environ | {"AGON_ENGINE_KEY": "from-the-environment"}) == "from-a-secret-file"
    assert mode(secret) == 0o444 and not made.exists()
    secret.chmod(0o644)
    secret.write_text("short")
    with pytest.raises(ConfigError, match="AGON_ENGINE_KEY_FILE must have at least 16"):
        engine_key(made, environ)


def test_other_addresses_open_with_a_given_key_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGON_ENGINE_KEY", raising=False)
    args = parser().parse_args(["--model", "m", "--host", "0.0.0.0", "--port", "0"])
    with pytest.raises(ConfigError, match="opens the engine to others: set AGON_ENGINE_KEY or AGON_ENGINE_KEY_FILE"):
        listen(args)
    (tmp_path / "engine_key").write_text("k" * 20)
    monkeypatch.setenv("AGON_ENGINE_KEY_FILE", str(tmp_path / "engine_key"))
    sock, url = listen(args)
    sock.close()
    assert url.startswith("http://0.0.0.0:")


def test_authorisation() -> None:
    assert authorised("Bearer abc", "abc")
    assert authorised("bearer abc", "abc")
    for header in (None, "", "abc", "Bearer", "Bearer abcd", "Basic abc", "Bearer äbc"):
        assert not authorised(header, "abc")


def test_a_stale_unix_socket_does_not_block_a_start(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    listen_unix(path).close()
    assert path.exists(), "left behind, as after kill -9"
    with listen_unix(path) as sock:
        assert sock.getsockname() == str(path)
        assert mode(path) == 0o600


def test_a_live_unix_socket_is_not_stolen(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    with listen_unix(path) as sock:
        sock.listen()
        with pytest.raises(ConfigError, match="another process is listening"):
            listen_unix(path)
        assert path.exists()


def test_socket_paths_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        listen_unix(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(ConfigError, match="107 bytes"):
        listen_unix(tmp_path / ("x" * 120))


def test_a_taken_port_gives_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"port \d+: it is taken; choose another --port"):
            listen_tcp("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]  # noqa: S104
    + [("10.0.0.1", False), ("example.org", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
