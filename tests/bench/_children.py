"""Processes that a bench starts and listens to, and the processor time of processes."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class Cpu(threading.Thread):
    """CPU seconds of named processes, noted four times a second."""

    def __init__(self, pids: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.notes: list[tuple[float, dict[str, float]]] = []
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.25):
            self.notes.append((time.monotonic(), {name: self.spent(one) for name, one in self.processes.items()}))

    @staticmethod
    def spent(process: psutil.Process) -> float:
        family = [process, *process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)

    def per_ten_seconds(self, begin: float, end: float) -> dict[str, float]:
        inside = [note for note in self.notes if begin <= note[0] <= end]
        if len(inside) < 2:
            return {}
        (t0, first), (t1, last) = inside[0], inside[-1]
        return {name: round(10 * (last[name] - first[name]) / (t1 - t0), 2) for name in first}


@contextmanager
def child(module: str, *arguments: object, **pipes: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def say(process: subprocess.Popen[str], word: str) -> str:
    """The child's next line, which must begin with `word`."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(word):
        sys.exit(f"expected {word!r} of a child, got {line!r}")
    return line.removeprefix(word).strip()
