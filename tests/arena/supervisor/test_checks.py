"""Readiness questions answer quickly and never raise."""

import socket
import threading
import time
from pathlib import Path

import pytest

from arena.supervisor.checks import PATIENCE_S, answers_http, port_is_free


def serve_once(server: socket.socket, answer: bytes) -> None:
    client, _ = server.accept()
    with client:
        client.recv(4096)
        client.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 404 Not Found\r\n\r\n", True), (b"HTTP/1.1 500 Oh\r\n\r\n", False),
     (b"garbage", False), (b"", False)],
)  # fmt: skip
def test_any_answer_but_an_error_is_ready(tmp_path: Path, answer: bytes, ready: bool) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=serve_once, args=(server, answer))
        thread.start()
        assert answers_http(path, "/health") is ready
        thread.join()


def test_silence_is_not_ready_and_does_not_take_long() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        begun = time.monotonic()
        assert not answers_http(server.getsockname(), "/")
        assert time.monotonic() - begun < 3 * PATIENCE_S


def test_a_port_in_use_is_noticed(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
    assert port_is_free("127.0.0.1", port)
    assert not answers_http(("127.0.0.1", port), "/")
    assert not answers_http(tmp_path / "absent", "/")
