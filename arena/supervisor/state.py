"""What runs, written for a second `up` and for operators; and what a killed supervisor left behind."""

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from arena.supervisor.supervisor import Supervisor

MARK = "AGON_SUPERVISED"  # in every child's environment: names the installation that it belongs to


FILE = "up.json"  # in the run folder


def write(path: Path, url: str, supervisor: Supervisor) -> None:
    """Replace the state file in one step."""
    state = {
        "pid": os.getpid(),
        "url": url,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": {child.name: child.popen.pid for child in supervisor.children.values() if child.popen},
    }
    if path.exists():
        old = json.loads(path.read_text())
        if old["pid"] == state["pid"]:
            state["since"] = old["since"]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1) + "\n")
    fresh.replace(path)


def describe(path: Path, holder: str) -> str:
    """What a second `up` tells the person who typed it."""
    try:
        state = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        state = {}
    if str(state.get("pid")) != holder:
        return f"Agon is being started or tested here by process {holder}."
    pids = ", ".join(f"{name} {pid}" for name, pid in state["processes"].items())
    return (
        f"Agon already runs: {state['url']} (since {state['since']}, supervisor {holder}; {pids}).\n"
        f"Stop it with Ctrl-C in its terminal or `kill {holder}`."
    )


def url(path: Path) -> str | None:
    """Where the running installation answers."""
    try:
        return str(json.loads(path.read_text())["url"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def orphans(mark: str) -> list[int]:
    """Processes whose environment carries our mark, this one and its ancestors left out. Linux only, else empty."""
    ours, wanted, found = _ancestors(), f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) not in ours and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return found


def end_orphans(mark: str, patience_s: float = 5.0) -> list[int]:
    """End what outlived a killed supervisor: SIGTERM, then SIGKILL. Returns the pids that there were."""
    first = left = orphans(mark)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience_s
        while (left := orphans(mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not left:
            break
    return first


def _ancestors() -> set[int]:
    """This process and those above it."""
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return pids


def processes(path: Path) -> dict[str, int]:
    """Names and pids of what a supervisor here runs; nothing when there is none."""
    try:
        return {str(name): int(pid) for name, pid in json.loads(path.read_text())["processes"].items()}
    except (OSError, ValueError, KeyError):
        return {}
