"""Questions about readiness, each answered within half a second.

`python -m arena.supervisor.checks http://127.0.0.1:8000/healthz` asks one from a shell: exit code 0 or 1, no Django.
"""

import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE_S = 0.5


def answers_http(address: tuple[str, int] | Path, path: str) -> bool:
    """Does a GET to a TCP address or a unix socket get any answer but a server's error? One connection, one read."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with socket.socket(family) as client:
        client.settimeout(PATIENCE_S)
        try:
            client.connect(str(address) if isinstance(address, Path) else address)
            client.sendall(request)
            first = client.recv(64).split(b" ")
        except OSError:
            return False
    return len(first) > 1 and first[0].startswith(b"HTTP/") and first[1][:1] in (b"2", b"3", b"4")


def port_is_free(host: str, port: int) -> bool:
    """Could a server listen here now? (The way uvicorn binds: SO_REUSEADDR, so that TIME_WAIT does not count.)"""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def main(url: str) -> int:
    """The health checks of compose.yaml."""
    parts = urlsplit(url)
    return 0 if answers_http((parts.hostname or "", parts.port or 80), parts.path or "/") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
