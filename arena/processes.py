"""The process table: every process of an installation, in one place. `up` runs it; docs/operating.md shows it.

Jobs that may run for minutes (queue `export`) have a Celery node of their own, worker-long, so that they can never hold a slot
that ratings (`rank`) and housekeeping (`default`: the turn sweeper) need; a shared node could not promise that.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from arena.embedded import lifecycle, paths
from arena.supervisor.checks import answers_http
from arena.supervisor.process import Process
from arena.supervisor.state import MARK

DEMO_MODEL = "smollm2-135m-instruct"
WORKER_FLAGS = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
CHILD_KB = 250_000  # a prefork child above this is replaced after its task


@dataclass(frozen=True)
class Layout:
    """What differs between installations of one machine."""

    host: str = "127.0.0.1"
    port: int = 8000
    model: Path | None = None  # None: AGON_ENGINE_MODEL, else `fetch_model --switch`, else the demo model

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)
        return f"http://{host}:{self.port}/"

    @property
    def engine_model(self) -> Path:
        models = Path(os.environ.get("AGON_MODELS_DIR") or paths.var_dir() / "models")
        return self.model or Path(os.environ.get("AGON_ENGINE_MODEL") or chosen_model() or models / DEMO_MODEL)


def chosen_model() -> str:
    """The folder that `manage.py fetch_model ID --switch` wrote down, "" when it never did."""
    try:
        return (paths.var_dir() / "engine.model").read_text().strip()
    except FileNotFoundError:
        return ""


def engine_adapters(model: Path) -> tuple[str, ...]:
    """AGON_ENGINE_ADAPTERS, a folder of adapters; the demo model has its own."""
    own = paths.PROJECT / "inference" / "demo" / "adapters" if model.name == DEMO_MODEL else ""
    folder = os.environ.get("AGON_ENGINE_ADAPTERS") or str(own)
    return ("--adapters-dir", folder) if folder else ()


def engine_socket() -> Path:
    return paths.run_dir() / "engine.sock"


def table(layout: Layout) -> list[Process]:
    """All rows, in starting order."""
    return [*lifecycle.servers(), engine(layout), web(layout), *workers()]


def engine(layout: Layout) -> Process:
    """The demo model's engine: torch lives here and nowhere else."""
    address = engine_socket()
    return _ours(
        "engine",
        ("-m", "inference.engine", "--model", str(layout.engine_model), "--uds", str(address))
        + engine_adapters(layout.engine_model)
        + ("--key-file", str(paths.var_dir() / "engine.key")),
        ready=lambda: answers_http(address, "/health"),
        prepare=lambda: address.unlink(missing_ok=True),
        stop_timeout_s=10.0,
        memory_mb=1024,
    )


def web(layout: Layout) -> Process:
    """HTTP and WebSockets. Open event streams are cut after 3 s at a stop; browsers resume them by event id."""
    return _ours(
        "web",
        ("-m", "uvicorn", "arena.asgi:application", "--host", layout.host, "--port", str(layout.port))
        + ("--timeout-graceful-shutdown", "3", "--no-access-log", "--lifespan", "off", "--no-server-header")
        + ("--no-proxy-headers", "--ws-max-size", "65536", "--log-level", "warning"),
        ready=lambda: answers_http((layout.host, layout.port), "/healthz"),
        memory_mb=150,
    )


def workers() -> list[Process]:
    """Celery: one node per kind of work, and the clock."""
    drain_s = float(os.environ.get("AGON_DRAIN_S") or 20)
    few_arenas = {"MALLOC_ARENA_MAX": "2"}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return [
        _celery(
            "worker-generate",
            ("worker", "-P", "threads", "-c", "2", "-Q", "generate", *WORKER_FLAGS),
            env=few_arenas,
            stop_timeout_s=drain_s + 15,
            memory_mb=150,
        ),
        _celery(
            "worker-batch",
            ("worker", "-P", "prefork", "-c", "2", "-Q", "rank,default", *WORKER_FLAGS)
            + ("--max-memory-per-child", str(CHILD_KB)),
            env=few_arenas | one_thread,
            stop_timeout_s=drain_s,
            memory_mb=350,
        ),
        _celery(
            "worker-long",
            ("worker", "-P", "prefork", "-c", "1", "-Q", "export", *WORKER_FLAGS)
            + ("--max-memory-per-child", str(4 * CHILD_KB)),
            env=few_arenas | one_thread,
            stop_timeout_s=drain_s,
            late=True,
        ),
        # intervals only, so the schedule need not survive a restart: no file that a crash could spoil
        _celery("beat", ("beat", "--scheduler", "celery.beat:Scheduler", "--loglevel", "WARNING", "--pidfile", "")),
    ]


def _celery(name: str, argv: tuple[str, ...], env: dict[str, str] | None = None, **more: object) -> Process:
    """A Celery node says that it is ready by making a file (arena/celery.py), so nobody has to read its log."""
    mark = paths.run_dir() / f"{name}.ready"
    node = ("-n", f"{name}@%h") if argv[0] == "worker" else ()
    return _ours(
        name,
        ("-m", "celery", "-q", "-A", "arena", *argv, *node),
        # root is fine where a container runs us; tasks are JSON, which is what the warning is about
        env={**(env or {}), "AGON_READY_FILE": str(mark), "PYTHONWARNINGS": "ignore:You're running the worker"},
        ready=mark.exists,
        prepare=lambda: mark.unlink(missing_ok=True),
        stage=2,
        **more,
    )


def _ours(name: str, argv: tuple[str, ...], env: dict[str, str] | None = None, **more: object) -> Process:
    environment = {"PYTHONUNBUFFERED": "1", MARK: str(paths.run_dir()), **(env or {})}
    return Process(name=name, argv=(sys.executable, *argv), env=environment, **more)  # type: ignore[arg-type]
