"""`manage.py up` as an operator runs it, with what it printed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Self

from arena.embedded import paths
from arena.supervisor import state
from tests.stack import free_port

PATIENCE_S = 90.0


class Up:
    """A supervisor process on its own var/ folder."""

    def __init__(self, var: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.var, self.port, self.lines = var, free_port(), []
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments, self.extra_env = arguments, env or {}

    def environment(self) -> dict[str, str]:
        models = os.environ.get("AGON_MODELS_DIR") or str(paths.PROJECT / "var" / "models")
        env = {**os.environ, "AGON_VAR": str(self.var), "AGON_MODELS_DIR": models, "PYTHONUNBUFFERED": "1"}
        env |= {"DJANGO_SETTINGS_MODULE": "arena.settings", **self.extra_env}
        for name in ("DATABASE_URL", "REDIS_URL", "AGON_PORT"):
            env.pop(name, None)
        return env

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "manage.py", "up", "--port", str(self.port), *self.arguments, *more]

    def run(self, *more: str, **options: object) -> subprocess.CompletedProcess[str]:
        """A second `up`, or one that is expected to end by itself."""
        return subprocess.run(
            self.command(*more), cwd=paths.PROJECT, env=self.environment(), capture_output=True, text=True, check=False,
            timeout=2 * PATIENCE_S, **options,  # type: ignore[call-overload]
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command(), cwd=paths.PROJECT, env=self.environment(), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.reader = Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")))
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        state.end_orphans(str(self.var / "run"))

    def wait_for(self, pattern: str, count: int = 1, patience_s: float = PATIENCE_S) -> str:
        """The line that matches for the `count`-th time."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            found = [line for line in list(self.lines) if re.search(pattern, line)]
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} did not come:\n{''.join(self.lines[-60:])}")

    def pids(self) -> dict[str, int]:
        return json.loads((self.var / "run" / "up.json").read_text())["processes"]

    def remains(self) -> list[str]:
        """Commands of processes that belong to this installation."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            marked = int(entry.parent.name) in state.orphans(str(self.var / "run"))
            if str(self.var) in command or marked:
                found.append(command)
        return found
