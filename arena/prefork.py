"""Several processes behind one listening socket: loaded once, forked, and replaced when they die.

The parent serves nothing. It loads the site before it forks, so that the children share that memory, and passes a stop on.
Whoever of the children is idle accepts the next connection. A child that dies young ends the parent: the site cannot start,
and whoever supervises the parent knows how to wait. When the parent is killed, its children see their pipe close and go.
"""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)
YOUNG_S = 3.0
STOPS = (signal.SIGTERM, signal.SIGINT)


def serve(count: int, run: Callable[[], None]) -> int:
    """Run `run` in `count` forked processes until SIGTERM or SIGINT. Returns the exit status; call it from the main thread."""
    gc.collect()
    gc.freeze()  # a collection in a child would write to every page that it shares
    return _Family(count, run).live()


class _Family:
    def __init__(self, count: int, run: Callable[[], None]) -> None:
        self.count, self.run = count, run
        self.born: dict[int, float] = {}  # process id -> time.monotonic()
        self.stopping = False
        self.lifeline = os.pipe()

    def live(self) -> int:
        for number in STOPS:
            signal.signal(number, self._stop)
        for _ in range(self.count):
            if not self.stopping:
                self._bear()
        status = 0
        while self.born:
            child, ended = os.wait()
            born = self.born.pop(child, None)
            if born is None or self.stopping:
                continue
            status = os.waitstatus_to_exitcode(ended)
            if time.monotonic() - born < YOUNG_S:
                log.critical("a web process ended with %d as it started", status)
                self._stop()
                status = status if status > 0 else 1
            else:
                log.error("a web process ended with %d; another takes its place", status)
                self._bear()
                status = 0
        return status

    def _bear(self) -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, STOPS
        )  # a stop must find the child known here, and without our handler
        child = os.fork()
        if child:
            self.born[child] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            return
        code = 1
        try:
            for number in STOPS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            os.close(self.lifeline[1])
            threading.Thread(target=_leave_with, args=(self.lifeline[0],), name="lifeline", daemon=True).start()
            self.run()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            log.critical("a web process broke", exc_info=True)
        finally:
            os._exit(code)

    def _stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self.stopping = True
        for child in self.born:
            os.kill(child, signal.SIGTERM)


def _leave_with(lifeline: int) -> None:
    """Nobody ever writes: the read returns when the parent is gone, and then nobody would stop this process."""
    os.read(lifeline, 1)
    os._exit(1)
