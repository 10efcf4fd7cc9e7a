"""The web process: uvicorn, with bounds that it lacks. `python -m arena.serve --host 127.0.0.1 --port 8000`.

uvicorn waits for ever for the rest of a request's head, and keeps however many headers of whatever size. Here a head has
AGON_WEB_HEAD_S seconds (408), AGON_WEB_HEAD_BYTES bytes and AGON_WEB_HEADERS headers (431); the time for a body is bounded in
`arena/body_limit.py`. Open connections are bounded by AGON_WEB_CONNECTIONS (503), event streams and WebSockets included.
AGON_WEB_PROCESSES of them share the port (`arena/prefork.py`); every bound is per process.
"""

import argparse
import asyncio
import errno
import socket
import sys
import time
from typing import Any

import uvicorn
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from arena import prefork
from inference import open_files

STOP_S = 3  # what open event streams get at a stop; browsers resume them by event id
WS_MESSAGE_BYTES = 65_536
SPARE_FILES = 256
LINGER_S = 1.0
BIND_S = 2.0
WORDS = {
    408: b"The request did not come in time. Send it again.\n",
    431: b"The request has more or larger headers than this site reads. Delete its cookies and try again.\n",
}


class TooLarge(ValueError):
    """The head of a request is beyond its bounds."""


class Bounded(HttpToolsProtocol):
    """uvicorn's HTTP protocol whose requests must begin in time and with a head of sane size."""

    deadline: asyncio.TimerHandle | None = None  # while a head is awaited
    received = read = 0  # bytes of the head: as they came, and as they were understood
    too_large = refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        super().data_received(data)
        if self.deadline is not None:
            self.received += len(data)
            if self.received > settings.WEB_HEAD_BYTES:
                self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.read = 0
        if self.deadline is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Also called when a callback of the parser has raised."""
        if self.too_large:
            self._refuse(431)
        elif not self.transport.is_closing():
            self._stop_waiting()
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self.read += size
        if self.read > settings.WEB_HEAD_BYTES or len(self.headers) >= settings.WEB_HEADERS:
            self.too_large = True
            raise TooLarge

    def _await_head(self) -> None:
        self.received = 0
        self.deadline = self.loop.call_later(settings.WEB_HEAD_S, self._late)

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # a pipelined request waits for its turn, and we do not read meanwhile
        elif self.received:
            self._refuse(408)
        else:
            self.transport.close()  # connected, and never said a word

    def _refuse(self, status: int) -> None:
        """Answer, and read on a little without looking: a close with unread bytes would take the answer back."""
        self._stop_waiting()
        if self.refused or self.transport.is_closing():
            return
        self.refused = True
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head % len(WORDS[status]) + WORDS[status])
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


def options(host: str, port: int) -> dict[str, Any]:
    """How uvicorn runs the site."""
    return {
        "host": host,
        "port": port,
        "http": Bounded,
        "lifespan": "on",
        "limit_concurrency": settings.WEB_CONNECTIONS,
        "timeout_graceful_shutdown": STOP_S,
        "ws_max_size": WS_MESSAGE_BYTES,
        "ws_per_message_deflate": False,  # two windows of 32 kB per socket, for messages of a few hundred bytes
        "proxy_headers": False,  # arena.addresses knows whom to believe
        "server_header": False,
        "access_log": False,
        "log_config": None,  # settings.LOGGING says how
        "log_level": "warning",
    }


def bind(host: str, port: int) -> socket.socket:
    """The socket that all processes accept from; the children of a killed parent may need a moment to let go of it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + BIND_S
    while True:
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            return listening
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                sys.exit(f"cannot listen on {host}:{port}: {error.strerror}")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m arena.serve", description="Agon's web process.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    open_files.allow(settings.WEB_CONNECTIONS + SPARE_FILES)
    config = uvicorn.Config("arena.asgi:application", **options(asked.host, asked.port))
    if settings.WEB_PROCESSES == 1:
        uvicorn.Server(config).run()
        return
    listening = bind(asked.host, asked.port)
    config.load()
    sys.exit(prefork.serve(settings.WEB_PROCESSES, lambda: uvicorn.Server(config).run(sockets=[listening])))


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")
    main()
