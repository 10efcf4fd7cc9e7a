"""What a killed predecessor left: pid files, sockets, processes that outlived their supervisor."""

import os
import signal
import subprocess
import time
from pathlib import Path


def command_line(pid: int) -> str | None:
    """The command of a live process, None when there is none (a zombie's command is empty)."""
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self").exists():
        try:
            return proc.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
    found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def read_pid(path: Path) -> int | None:
    """The pid on a file's first line, None when there is no such file or no pid in it."""
    try:
        first = path.read_text().split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() and int(first) > 1 else None


def end(pid: int, mark: str, gently: signal.Signals, patience_s: float = 5.0) -> bool:
    """End the process `pid` if its command contains `mark` (a pid alone may belong to a stranger by now).

    Returns whether there was such a process.
    """
    if mark not in (command_line(pid) or ""):
        return False
    for number, wait_s in ((gently, patience_s), (signal.SIGKILL, patience_s)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if mark not in (command_line(pid) or ""):
                return True
            time.sleep(0.02)
    raise TimeoutError(f"process {pid} ({mark}) does not end, not even by SIGKILL")
