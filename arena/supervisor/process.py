"""One row of the process table, and how a row becomes a running process."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """A uid that a server runs as, when that is not ours."""

    name: str
    uid: int
    gid: int


def nothing_to_prepare() -> None:
    """The default of `Process.prepare`."""


@dataclass(frozen=True)
class Process:
    """What to run and how to know that it runs.

    `ready` answers within half a second and never raises. `prepare` runs before every start, so it also clears what a
    killed predecessor left. `stop_timeout_s` bounds the drain; SIGKILL to the whole group follows. Higher stages
    stop first. `late` rows are not waited for. `memory_mb` is the budget that `make bench NAME=start` holds the row against.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    inherit_env: bool = True  # False keeps our secrets out of a server that runs as another user
    prepare: Callable[[], None] = nothing_to_prepare
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    stage: int = 1
    memory_mb: int | None = None
    late: bool = False


def launch(process: Process, cwd: Path, output: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start one row in a session of its own, with its parent's death as a stop signal (Linux).

    Call it from the main thread only: the kernel ties that signal to the thread that forked.
    """
    process.prepare()
    account = process.account
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    return subprocess.Popen(
        process.argv,
        cwd="/" if account else cwd,
        env={**(os.environ if process.inherit_env else {}), **process.env},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        preexec_fn=_follow_parent(process.stop_signal),
        **identity,  # type: ignore[call-overload]
    )


def _follow_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Code for the child, run after it changed its user (a change of user would clear the setting)."""
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def follow() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return follow


def signal_group(pid: int, number: signal.Signals) -> bool:
    """Signal a child's whole group; False when nobody is left in it."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # only zombies of another user are left (macOS)
        return False
    return True


def stop(child: subprocess.Popen[bytes], process: Process) -> int:
    """Ask one child to end, wait at most `stop_timeout_s`, then kill what is left of its group. Returns its exit code."""
    if child.poll() is None:
        child.send_signal(process.stop_signal)
        try:
            child.wait(process.stop_timeout_s)
        except subprocess.TimeoutExpired:
            pass
    signal_group(child.pid, signal.SIGKILL)
    return child.wait()
