"""One server under test: started, waited for, weighed, held still while another is measured, and ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

POLL_S = 0.02
PATIENCE_S = 300.0
END_S = 10.0


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A context manager. `startup_s` is the wall time from exec to the first 200 of GET /health."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], port: int, cwd: Path) -> None:
        self.port = port
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # a bench that is told to end takes its servers along
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        begin = time.perf_counter()
        # A session of its own, so that the whole family can be held still and ended.
        self._process = subprocess.Popen(
            command, env=dict(env), cwd=cwd, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            self._wait(begin + PATIENCE_S)
        except BaseException:
            self.close()
            raise
        self.startup_s = time.perf_counter() - begin

    def _wait(self, until: float) -> None:
        while not self._healthy():
            if self._process.poll() is not None or time.perf_counter() > until:
                raise RuntimeError(f"{self._process.args!r} does not serve: {self.said()[-2000:]}")
            time.sleep(POLL_S)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def said(self) -> str:
        """Its output so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def family(self) -> list[psutil.Process]:
        """The process and its descendants."""
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def pss_mb(self) -> float:
        """Proportional set size of the family, MB: what two of them share counts once."""
        return sum(member.memory_full_info().pss for member in self.family()) / 1e6

    def cpu_s(self) -> float:
        """CPU seconds of the family so far."""
        return sum(sum(member.cpu_times()[:2]) for member in self.family())

    def hold(self) -> None:
        """Stop it where it is: an idle server may still poll."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """The reverse of `hold`."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the whole family."""
        with contextlib.suppress(ProcessLookupError):
            self.go_on()
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
