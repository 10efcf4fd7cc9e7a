"""What a second `up` says, and how a killed supervisor's leftovers are found."""

import io
import os
import subprocess
from pathlib import Path

from arena.supervisor import state
from arena.supervisor.logs import Log
from arena.supervisor.supervisor import Supervisor


def test_a_second_up_learns_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    with Supervisor(Log(io.StringIO()), tmp_path) as supervisor:
        state.write(path, "http://127.0.0.1:8000/", supervisor)
    message = state.describe(path, str(os.getpid()))
    assert "http://127.0.0.1:8000/" in message
    assert f"kill {os.getpid()}" in message
    assert state.url(path) == "http://127.0.0.1:8000/"


def test_a_stale_state_file_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    path.write_text('{"pid": 1, "url": "http://old/", "since": "then", "processes": {}}')
    assert "http://old/" not in state.describe(path, "4242")
    path.write_text("{half")
    assert "4242" in state.describe(path, "4242")
    assert state.url(path) is None


def test_orphans_are_found_by_their_mark_and_ended(tmp_path: Path) -> None:
    mark = str(tmp_path / "run")
    command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    stubborn = subprocess.Popen(command, env={**os.environ, state.MARK: mark}, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, state.MARK: mark + "-other"})
    try:
        assert stubborn.pid in state.orphans(mark)
        assert stubborn.pid in state.end_orphans(mark, patience_s=0.3)
        assert stubborn.wait(5) == -9
        assert stranger.poll() is None
    finally:
        stubborn.kill()
        stranger.kill()
        stubborn.wait()
        stranger.wait()


def test_no_mark_no_orphan(tmp_path: Path) -> None:
    assert state.end_orphans(str(tmp_path)) == []
