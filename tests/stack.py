"""A whole installation for tests: the rows of the process table as real processes, on servers and data of its own.

The engine is the stub (`tests/stub_engine.py`) on the demo engine's socket, so the demo roster answers at once and faults can
be asked for in the prompt; `Stack(engine="real")` runs the demo model instead.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import redis
from django.conf import settings
from django.db import connections

from arena import installation, processes
from arena.embedded import lifecycle, paths, postgres
from arena.supervisor.process import Process, launch, stop

PATIENCE_S = 60.0
ENGINE_KEY = "stub-engine-key-0123456789"


class Stack:
    """Started by `with`; gone, with its data, when the block ends.

    `url` is the site, `var` its folder, `pid(name)` a process. `kill(name)` is kill -9 and `start(name)` what the supervisor
    would do next. `orm()` points this process's models at the stack's database. Logs are in `var/logs/<name>.log`.
    """

    def __init__(self, engine: str = "stub", env: dict[str, str] | None = None) -> None:
        self.engine, self.extra_env = engine, env or {}
        self.folder = Path(tempfile.mkdtemp(prefix="agon-stack-", dir="/tmp"))
        self.folder.chmod(0o711)  # the servers' user passes through
        self.var = self.folder / "var"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.rows: dict[str, Process] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    # --- life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        with self.environment():
            self._lock = lifecycle.management()
            self._lock.__enter__()
            (self.var / "logs").mkdir()
            self._write_engine_key()
            self.rows = {row.name: row for row in self._table()}
            try:
                self.start("postgres", "valkey", "engine")
                postgres.ensure_database()
                with self.orm():
                    installation.migrate()
                    installation.seed_demo()
                self.start(*(name for name in self.rows if name not in self.children))
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.children)):
            self.stop(name)
        self._lock.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _table(self) -> list[Process]:
        generators = int(self.extra_env.get("AGON_GENERATE_PROCESSES", 1))
        rows = processes.table(processes.Layout(port=self.port, generators=generators))
        if self.engine == "stub":
            argv = (
                sys.executable,
                str(paths.PROJECT / "tests" / "stub_engine.py"),
                "--uds",
                str(processes.engine_socket()),
            )
            rows = [replace(row, argv=(*argv, "--key", ENGINE_KEY)) if row.name == "engine" else row for row in rows]
        return [replace(row, env={**row.env, **self._env()}) if row.inherit_env else row for row in rows]

    def _env(self) -> dict[str, str]:
        """What makes a child belong to this installation, and share the test process's secrets."""
        return {
            "AGON_VAR": str(self.var),
            "AGON_PORT": str(self.port),
            "AGON_SECRET_KEY": settings.SECRET_KEY,
            "AGON_SEAL_KEYS": ",".join(settings.SEAL_KEYS),
            "DJANGO_SETTINGS_MODULE": "arena.settings",
            "AGON_SWEEP_S": "1",
            "AGON_TURN_LEASE_S": "5",
            "AGON_DISPATCH_REFRESH_S": "1",
            "AGON_DISPATCH_FAILURES": "1000",  # no circuit that one test opens refuses the next one's requests
            "AGON_WATCH_S": "86400",  # its visitors are programs in a hurry, whose votes would go out in mid-test
            "AGON_LIMIT_VISITOR_BURST": "1000",
            "AGON_LIMIT_PREFIX_BURST": "1000",
            **self.extra_env,
        }

    def _write_engine_key(self) -> None:
        key = self.var / "engine.key"
        key.touch(mode=0o600)
        key.write_text(ENGINE_KEY + "\n")

    # --- processes ------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start these and wait until they are ready."""
        with self.environment():
            for name in names:
                self._launch(self.rows[name])
            deadline = time.monotonic() + PATIENCE_S
            while waiting := [name for name in names if not self.rows[name].ready()]:
                for name in waiting:
                    code = self.children[name].poll()
                    assert code is None, f"{name} ended with {code}:\n{self.log(name)[-3000:]}"
                assert time.monotonic() < deadline, f"{waiting} not ready:\n{self.log(waiting[0])[-3000:]}"
                time.sleep(0.05)

    def _launch(self, row: Process) -> None:
        with (self.var / "logs" / f"{row.name}.log").open("ab") as log:
            self.children[row.name] = launch(row, paths.PROJECT, log)

    def stop(self, name: str) -> int:
        """The orderly end of one process. Returns its exit code."""
        return stop(self.children.pop(name), self.rows[name])

    def kill(self, name: str) -> None:
        """kill -9 of a process and its children, as the kernel's OOM killer would leave it: nothing cleaned up."""
        child = self.children.pop(name)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def pid(self, name: str) -> int:
        return self.children[name].pid

    def log(self, name: str) -> str:
        return (self.var / "logs" / f"{name}.log").read_text(errors="replace")

    def heal(self) -> None:
        """Start what a test killed, or what died by itself."""
        self.start(*(name for name in self.rows if name not in self.children or self.children[name].poll() is not None))

    def stub(self, path: str, method: str = "GET") -> Any:
        """What the stub engine answers to `/stub/stats`, `/stub/requests` or `POST /stub/go`."""
        with self.environment():
            address = str(processes.engine_socket())
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(PATIENCE_S)
            engine.connect(address)
            engine.sendall(f"{method} {path} HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n\r\n".encode())
            reply = http.client.HTTPResponse(engine)
            reply.begin()
            return json.load(reply)

    def manage(self, *arguments: str) -> str:
        """What a management command prints on this installation."""
        with self.environment():
            command = [sys.executable, "manage.py", *arguments]
            done = subprocess.run(
                command, cwd=paths.PROJECT, env=os.environ | self._env(), capture_output=True, text=True
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- data -----------------------------------------------------------------------------------------------------

    @contextmanager
    def environment(self) -> Iterator[None]:
        """This process computes the installation's paths and URLs."""
        changes = {"AGON_VAR": str(self.var), "AGON_ENGINE_FLAGS": self.extra_env.get("AGON_ENGINE_FLAGS", "")}
        old = {name: os.environ.get(name) for name in (*changes, "DATABASE_URL", "REDIS_URL")}
        models = os.environ.get("AGON_MODELS_DIR") or str(paths.PROJECT / "var" / "models")
        for name in old:
            os.environ.pop(name, None)
        os.environ.update(changes, AGON_MODELS_DIR=models)
        try:
            yield
        finally:
            for name, value in old.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    @contextmanager
    def orm(self) -> Iterator[None]:
        """Models read and write the stack's database."""
        database = connections.settings["default"]
        old = {key: database[key] for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD")}
        with self.environment():
            new = {
                "HOST": str(paths.postgres_socket_dir()),
                "PORT": "",
                "NAME": "agon",
                "USER": "postgres",
                "PASSWORD": "",
            }
        installation.disconnect()
        database.update(new)
        try:
            yield
        finally:
            installation.disconnect()
            database.update(old)

    def valkey(self) -> redis.Redis:
        with self.environment():
            return redis.Redis.from_url(paths.redis_url())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
