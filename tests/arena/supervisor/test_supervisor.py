"""The supervisor on small shell processes: restart with back-off, drain order, nothing left behind."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arena.supervisor import supervisor as module
from arena.supervisor.logs import Log
from arena.supervisor.process import Process
from arena.supervisor.supervisor import StartFailed, Stopped, Supervisor, delay_after


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def run(out: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    with Supervisor(Log(out), tmp_path) as supervisor:
        yield supervisor


def shell(name: str, script: str, mark: Path, **more: object) -> Process:
    """A process that is ready once its script made `mark`."""
    return Process(
        name,
        ("/bin/sh", "-c", script),
        ready=mark.exists,
        env={"MARK": str(mark)},
        prepare=lambda: mark.unlink(missing_ok=True),
        **more,  # type: ignore[arg-type]
    )


def turn_until(supervisor: Supervisor, condition: Callable[[], bool], patience_s: float = 10.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        supervisor.tick(0.02)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


def pid_of(supervisor: Supervisor, name: str) -> int:
    child = supervisor.children[name]
    assert child.popen is not None
    return child.popen.pid


def test_a_killed_child_is_started_again_and_said(run: Supervisor, out: io.StringIO, tmp_path: Path) -> None:
    run.start([shell("lamp", "touch $MARK; exec sleep 60", tmp_path / "m")])
    run.wait_ready(["lamp"], 10)
    first = pid_of(run, "lamp")
    os.kill(first, signal.SIGKILL)
    turn_until(run, lambda: run.children["lamp"].starts == 2 and run.children["lamp"].ready)
    assert pid_of(run, "lamp") != first
    assert "lamp was killed by SIGKILL; starting it again in 0.05 s" in out.getvalue()
    assert "lamp is ready again" in out.getvalue()


def test_the_whole_group_goes_with_its_leader(run: Supervisor, tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"
    script = f"sleep 61 & echo $! > {grandchild}; touch $MARK; wait"
    run.start([shell("parent", script, tmp_path / "m")])
    run.wait_ready(["parent"], 10)
    pid = int(grandchild.read_text())
    assert alive(pid)
    os.kill(pid_of(run, "parent"), signal.SIGKILL)
    turn_until(run, lambda: not alive(pid))


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.5), (2, 1), (5, 8), (7, 30), (50, 30)])
def test_delays_double_up_to_a_bound(failures: int, delay: float) -> None:
    assert delay_after(failures) == delay


def test_a_child_that_stayed_up_starts_at_the_first_delay_again(run: Supervisor, tmp_path: Path) -> None:
    run.start([shell("lamp", "touch $MARK; exec sleep 60", tmp_path / "m")])
    run.wait_ready(["lamp"], 10)
    child = run.children["lamp"]
    child.failures, child.started = 5, time.monotonic() - module.STEADY_S - 1
    os.kill(pid_of(run, "lamp"), signal.SIGKILL)
    turn_until(run, lambda: child.starts == 2)
    assert child.failures == 1


def test_a_child_that_never_gets_ready_stops_the_start_with_its_last_words(run: Supervisor, tmp_path: Path) -> None:
    run.start([shell("broken", "echo the disk is full; exit 3", tmp_path / "m")])
    with pytest.raises(StartFailed, match=r"(?s)broken does not become ready.*the disk is full.*ended with code 3"):
        run.wait_ready(["broken"], 10)
    assert run.children["broken"].starts == module.MAX_FIRST_TRIES


def test_a_child_that_hangs_at_the_start_is_reported_in_time(run: Supervisor, tmp_path: Path) -> None:
    run.start([shell("mute", "exec sleep 60", tmp_path / "m")])
    with pytest.raises(StartFailed, match="mute does not become ready"):
        run.wait_ready(["mute"], 0.2)


def test_an_executable_that_is_missing_is_a_clear_failure(run: Supervisor) -> None:
    run.start([Process("ghost", ("/nowhere/ghost",), ready=lambda: True)])
    with pytest.raises(StartFailed, match="No such file or directory: '/nowhere/ghost'"):
        run.wait_ready(["ghost"], 10)


def test_later_stages_stop_first(out: io.StringIO, tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = "trap 'echo {0} >> {1}; exit 0' TERM; touch $MARK; while :; do sleep 0.05; done"
    with Supervisor(Log(out), tmp_path) as run:
        rows = [
            shell(name, script.format(name, order), tmp_path / name, stage=stage)
            for name, stage in (("database", 0), ("site", 1), ("worker", 2))
        ]
        run.start(rows)
        run.wait_ready(["database", "site", "worker"], 10)
    assert order.read_text().split() == ["worker", "site", "database"]


def test_a_child_that_ignores_the_stop_is_killed_after_its_time(out: io.StringIO, tmp_path: Path) -> None:
    with Supervisor(Log(out), tmp_path) as run:
        script = "trap '' TERM; touch $MARK; while :; do sleep 0.05; done"
        run.start([shell("mule", script, tmp_path / "m", stop_timeout_s=0.3)])
        run.wait_ready(["mule"], 10)
        pid = pid_of(run, "mule")
    assert not alive(pid)
    assert "mule did not end in time: killed" in out.getvalue()


def test_a_signal_ends_a_start_that_is_waiting(run: Supervisor, tmp_path: Path) -> None:
    run.start([shell("mute", "exec sleep 60", tmp_path / "m")])
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        run.wait_ready(["mute"], 10)


def test_output_is_prefixed_line_by_line_and_cut_at_the_bound(out: io.StringIO) -> None:
    log = Log(out, width=4)
    log.feed("web", b"one\ntw")
    log.feed("web", b"o\n\xff" + b"x" * 9000)
    log.feed("web", b"")
    lines = [line[9:] for line in out.getvalue().splitlines()]
    assert lines[:2] == ["web  | one", "web  | two"]
    assert len(lines) == 3
    assert "\x1b[" not in out.getvalue()


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """The kernel tells them (PR_SET_PDEATHSIG); what ignores it is found by its mark at the next start."""
    mark = tmp_path / "pid"
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from arena.supervisor.logs import Log\n"
        "from arena.supervisor.process import Process\n"
        "from arena.supervisor.supervisor import Supervisor\n"
        f"mark = Path({str(mark)!r})\n"
        "row = Process('lamp', ('/bin/sh', '-c', f'echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60'), mark.exists)\n"
        "with Supervisor(Log(), Path('/')) as run:\n"
        "    run.start([row]); run.wait_ready(['lamp'], 10); run.run()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child = int(mark.read_text())
    parent.kill()
    parent.wait()
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)
