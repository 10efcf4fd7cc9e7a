"""Serving an EngineApp with uvicorn until a signal, then draining.

SIGTERM or SIGINT: new requests get 503 and /health says `draining` while open ones run to their end, at most
`drain_timeout_s`; then the process ends with exit code 0. A second signal ends the wait at once. An engine that is broken
says so in /health for a moment, then ends with exit code 1, so that whoever supervises it starts a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn

from inference.engine.server import EngineApp

BROKEN_S = 5.0  # time for /health to be read
WATCH_S = 0.5
CLOSE_TIMEOUT_S = 3  # for connections that stay open after the drain
KEEP_ALIVE_S = 75  # longer than any client keeps an idle connection, so that it never reuses one we are closing
BACKLOG = 2048


class DrainingServer(uvicorn.Server):
    """uvicorn, with its signal handling replaced: it must go on accepting, to refuse politely, while it drains."""

    def __init__(self, config: uvicorn.Config, app: EngineApp, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._app, self._drain_timeout_s = app, drain_timeout_s
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain. Second: stop now."""
        if self._drain is not None:
            self.should_exit = True
            return
        self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        if self._drain is None:
            self._drain = self._loop.create_task(self._drain_then_exit())

    async def _drain_then_exit(self) -> None:
        await self._app.drain(self._drain_timeout_s)
        self.should_exit = True

    async def run_app(self, sock: socket.socket, ready: str) -> None:
        """Serve on `sock`; prints `ready` once requests are welcome."""
        self._loop = asyncio.get_running_loop()
        self._app.start()
        watch = asyncio.create_task(self._watch(ready))
        try:
            await self.serve(sockets=[sock])
        finally:
            watch.cancel()
            if self._drain is not None:
                self._drain.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._drain
            await self._app.stop()

    async def _watch(self, ready: str) -> None:
        while not self.started:
            await asyncio.sleep(0.01)
        print(ready, flush=True)
        while not self._app.runner.broken:
            await asyncio.sleep(WATCH_S)
        await asyncio.sleep(BROKEN_S)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signal again at the end: a drained exit is a success."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def serve(app: EngineApp, sock: socket.socket, ready: str, drain_timeout_s: float) -> bool:
    """Serve `app` until it has drained (True) or broke (False)."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
    )
    server = DrainingServer(config, app, drain_timeout_s)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.run_app(sock, ready))
    return app.runner.broken is None
