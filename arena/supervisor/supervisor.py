"""The supervisor: one thread, one select loop, a small state per child.

A child that ends is started again after a delay that doubles (0.5 s to 30 s) and returns to 0.5 s once the child has been
up for `steady_s`. A child that never becomes ready in `MAX_FIRST_TRIES` tries stops the start with its last words.
"""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from arena.supervisor.logs import Log
from arena.supervisor.process import Process, launch, signal_group

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
STEADY_S = 30.0
MAX_FIRST_TRIES = 3
TICK_S = 0.05  # while something starts or drains
IDLE_TICK_S = 1.0  # otherwise signals and output wake us
LAST_WORDS = 15


class StartFailed(RuntimeError):
    """A process did not become ready; the message holds its last lines."""


class Stopped(Exception):
    """A person or the system asked us to end while we were starting."""


@dataclass
class Child:
    """A row and what became of it."""

    process: Process
    popen: subprocess.Popen[bytes] | None = None
    ready: bool = False
    was_ready: bool = False
    started: float = 0.0
    failures: int = 0
    starts: int = 0
    next_start: float | None = None
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))

    @property
    def name(self) -> str:
        return self.process.name


def delay_after(failures: int) -> float:
    """Seconds before the next start after `failures` >= 1 ends in a row."""
    return min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (failures - 1))


class Supervisor:
    """Keeps children running until `stop` is asked for. Use it as a context manager: leaving it leaves no process behind."""

    def __init__(self, log: Log, cwd: Path, changed: Callable[["Supervisor"], None] = lambda _: None) -> None:
        self.log, self.cwd, self.changed = log, cwd, changed
        self.children: dict[str, Child] = {}
        self.stopping = False
        self.impatient = False
        self._selector = selectors.DefaultSelector()

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Supervisor":
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._old_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        handlers = {signal.SIGCHLD: lambda *_: None}
        handlers |= dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._asked)
        self._old_handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            self.impatient = True
        self.stopping = True
        self.log.say("agon", f"{signal.Signals(number).name}: draining" + (" now" if self.impatient else ""))

    # --- use ------------------------------------------------------------------------------------------------------

    def start(self, rows: Iterable[Process]) -> None:
        for row in rows:
            self.children[row.name] = child = Child(row)
            self._launch(child)

    def wait_ready(self, names: Iterable[str], timeout_s: float) -> None:
        """Return when all named children are ready. Raises StartFailed or Stopped."""
        waiting, deadline = [self.children[name] for name in names], time.monotonic() + timeout_s
        while not all(child.ready for child in waiting):
            self.tick(TICK_S)
            if self.stopping:
                raise Stopped
            for child in waiting:
                given_up = not child.was_ready and child.failures >= MAX_FIRST_TRIES
                if given_up or (time.monotonic() > deadline and not child.ready):
                    words = "\n  ".join(child.last_words) or "(it said nothing)"
                    raise StartFailed(f"{child.name} does not become ready. Its last lines:\n  {words}")

    def run(self) -> None:
        """Keep everything running until a signal."""
        while not self.stopping:
            self.tick(self._patience())

    def shutdown(self) -> None:
        """Stop stage by stage, the last first; within a stage all at once. Nothing is left, whatever it takes."""
        self.stopping = True
        alive = [child for child in self.children.values() if child.popen]
        for stage in sorted({child.process.stage for child in alive}, reverse=True):
            self._stop_together([child for child in alive if child.process.stage == stage])

    # --- one turn of the loop ---------------------------------------------------------------------------------------

    def tick(self, timeout_s: float) -> None:
        """Pass output on, notice ends, start what is due, ask what is starting whether it is ready."""
        for key, _ in self._selector.select(timeout_s):
            self._drain_wakeups() if key.data is None else self._read(key.fd, key.data)
        for child in self.children.values():
            if child.popen and child.popen.poll() is not None:
                self._ended(child)
            elif child.popen and not child.ready and child.process.ready():
                self._became_ready(child)
            elif not child.popen and not self.stopping and child.next_start and time.monotonic() >= child.next_start:
                self._launch(child)

    def _patience(self) -> float:
        busy = any(child.popen and not child.ready for child in self.children.values())
        due = [child.next_start - time.monotonic() for child in self.children.values() if child.next_start]
        return max(0.0, min([TICK_S if busy else IDLE_TICK_S, *due]))

    def _launch(self, child: Child) -> None:
        child.ready, child.next_start, child.started = False, None, time.monotonic()
        child.starts += 1
        try:
            child.popen = launch(child.process, self.cwd, subprocess.PIPE)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self._failed(child, f"cannot be started: {error}")
            return
        assert child.popen.stdout is not None
        os.set_blocking(child.popen.stdout.fileno(), False)
        self._selector.register(child.popen.stdout, selectors.EVENT_READ, child)
        self.changed(self)

    def _became_ready(self, child: Child) -> None:
        child.ready = child.was_ready = True
        again = " again" if child.starts > 1 else ""
        self.log.say("agon", f"{child.name} is ready{again} ({time.monotonic() - child.started:.1f} s)")

    def _ended(self, child: Child) -> None:
        assert child.popen is not None
        code = child.popen.returncode
        if child.ready and time.monotonic() - child.started > STEADY_S:
            child.failures = 0
        self._let_go(child)
        if not self.stopping:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            self._failed(child, how)

    def _failed(self, child: Child, how: str) -> None:
        child.ready = False
        child.failures += 1
        child.last_words.append(how)
        delay = delay_after(child.failures)
        child.next_start = time.monotonic() + delay
        self.log.say("agon", f"{child.name} {how}; starting it again in {delay:g} s")

    def _let_go(self, child: Child) -> None:
        """The leader is dead: kill what is left of its group, read the rest of its output, forget it."""
        popen, child.popen, child.ready = child.popen, None, False
        assert popen is not None and popen.stdout is not None
        signal_group(popen.pid, signal.SIGKILL)
        self._read(popen.stdout.fileno(), child)
        self.log.feed(child.name, b"")
        if popen.stdout.fileno() in self._selector.get_map():
            self._selector.unregister(popen.stdout)
        popen.stdout.close()
        self.changed(self)

    # --- pipes ------------------------------------------------------------------------------------------------------

    def _read(self, descriptor: int, child: Child) -> None:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not data:  # the child closed its output; its end is noticed by poll
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            return
        child.last_words.extend(line for line in data.decode(errors="replace").splitlines() if line.strip())
        self.log.feed(child.name, data)

    def _drain_wakeups(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass

    # --- the end ----------------------------------------------------------------------------------------------------

    def _stop_together(self, group: list[Child]) -> None:
        begun = time.monotonic()
        for child in group:
            if child.popen and child.popen.poll() is None:
                child.popen.send_signal(child.process.stop_signal)
        while any(child.popen for child in group):
            self.tick(TICK_S)
            for child in group:
                if child.popen and (self.impatient or time.monotonic() - begun > child.process.stop_timeout_s):
                    self.log.say("agon", f"{child.name} did not end in time: killed")
                    signal_group(child.popen.pid, signal.SIGKILL)
                    child.popen.wait()
