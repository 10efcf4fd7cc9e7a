"""manage.py: what is wrong with the environment is one line, whichever command met it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("command", ["check", "migrate", "help"])
def test_a_wrong_setting_is_one_line_without_a_traceback(tmp_path: Path, command: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "AGON_VAR": str(tmp_path), "AGON_ENV": "production"}
    done = subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    if command == "help":  # Django's own list, which says the same at its end
        assert "AGON_SECRET_KEY is unset" in done.stdout + done.stderr
        return
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "AGON_SECRET_KEY is unset: set it (or AGON_SECRET_KEY_FILE) to a long random text"
    ]
