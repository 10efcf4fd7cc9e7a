"""Listening sockets with clear errors: a stale unix socket never blocks a start, a live one is never stolen."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from pathlib import Path

from inference.engine.config import ConfigError

MAX_UDS_BYTES = 107  # sun_path of Linux, without the final zero
PROBE_TIMEOUT_S = 1.0


def listen_unix(path: Path) -> socket.socket:
    """A bound unix socket that only this user may connect to. Raises ConfigError when something answers on it."""
    if len(os.fsencode(path)) > MAX_UDS_BYTES:
        raise ConfigError(f"the socket path {path} is longer than {MAX_UDS_BYTES} bytes; choose a shorter --uds")
    _clear_stale(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the socket must not be open to others even for a moment
    try:
        sock.bind(os.fspath(path))
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror}") from None
    finally:
        os.umask(before)
    return sock


def _clear_stale(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise ConfigError(f"{path} exists and is no socket; remove it or choose another --uds")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConfigError(f"{path} is in use ({error}); stop that process or choose another --uds") from None
    raise ConfigError(f"another process is listening on {path}; stop it or choose another --uds")


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address) is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 lets the system choose. Raises ConfigError when it is taken."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise ConfigError(f"cannot resolve --host {host}: {error}") from None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        why = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigError(f"cannot listen on {host} port {port}: {why}; choose another --port") from None
    return sock
