"""The process table: every process of an installation, in one place. `up` runs it; docs/operating.md shows it; compose.yaml has
the same commands for containers (`Layout.containers`, printed by `manage.py processes`), which a test compares.

Jobs that may run for minutes (queue `export`) have a Celery node of their own, worker-long, so that they can never hold a slot
that ratings (`rank`) and housekeeping (`default`: the turn sweeper) need; a shared node could not promise that.
"""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from arena.embedded import lifecycle, paths
from arena.supervisor.checks import answers_http
from arena.supervisor.process import Process
from arena.supervisor.state import MARK

DEMO_MODEL = "smollm2-135m-instruct"
HERE = "127.0.0.1"
IN_CONTAINERS = Path("/srv/agon")  # the Dockerfile's WORKDIR
EVERYWHERE = "0.0.0.0"  # noqa: S104 (inside a container; compose.yaml publishes only the web port, on the host's loopback)
WORKER_FLAGS = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
CHILD_KB = 250_000  # a prefork child above this is replaced after its task


@dataclass(frozen=True)
class Layout:
    """What differs between installations: on one machine (the defaults), or with a container per process."""

    host: str = HERE
    port: int = 8000
    model: Path | None = None  # None: AGON_ENGINE_MODEL, else `fetch_model --switch`, else the demo model
    engine_host: str = ""  # "": the engine listens on a unix socket, else on this address and `engine_port`
    engine_port: int = 8400
    python: str = sys.executable
    home: Path = paths.PROJECT
    marks: Path = field(default_factory=paths.run_dir)  # where Celery nodes say that they are ready
    generators: int = field(default_factory=lambda: int(os.environ.get("AGON_GENERATE_PROCESSES") or 1))

    @classmethod
    def containers(cls) -> "Layout":
        """Every process by itself: names instead of sockets, marks on the container's own /tmp, the key from a secret."""
        home = IN_CONTAINERS
        model = Path(os.environ.get("AGON_ENGINE_MODEL") or home / "var" / "models" / DEMO_MODEL)
        where = {"generators": 1, "host": EVERYWHERE, "engine_host": EVERYWHERE, "marks": Path("/tmp")}  # noqa: S108
        return cls(model=model, python="python", home=home, **where)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        host = {EVERYWHERE: HERE, "::": "[::1]"}.get(self.host, self.host)
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


def engine_adapters(model: Path, home: Path = paths.PROJECT) -> tuple[str, ...]:
    """AGON_ENGINE_ADAPTERS, a folder of adapters; the demo model has its own."""
    own = home / "inference" / "demo" / "adapters" if model.name == DEMO_MODEL else ""
    folder = os.environ.get("AGON_ENGINE_ADAPTERS") or str(own)
    return ("--adapters-dir", folder) if folder else ()


def engine_flags() -> tuple[str, ...]:
    """AGON_ENGINE_FLAGS: what an operator adds to the engine's command line, as in a shell. The last of equal flags counts."""
    return tuple(shlex.split(os.environ.get("AGON_ENGINE_FLAGS") or ""))


def engine_socket() -> Path:
    return paths.run_dir() / "engine.sock"


def table(layout: Layout) -> list[Process]:
    """All rows of one machine, in starting order; what a URL names runs elsewhere and is left out."""
    elsewhere = {"engine"} if os.environ.get("AGON_ENGINE_URL") else set()
    return [*lifecycle.servers(), *(row for row in ours(layout) if row.name not in elsewhere)]


def ours(layout: Layout) -> list[Process]:
    """The rows that run Agon's own code, in starting order."""
    return [engine(layout), web(layout), *workers(layout)]


def engine(layout: Layout) -> Process:
    """The demo model's engine: torch lives here and nowhere else. On TCP its key must be given (AGON_ENGINE_KEY_FILE)."""
    path = engine_socket()
    address = (layout.engine_host, layout.engine_port) if layout.engine_host else path
    listens = ("--host", layout.engine_host, "--port", str(layout.engine_port)) if layout.engine_host else ()
    return _ours(
        layout,
        "engine",
        ("-m", "inference.engine", "--model", str(layout.engine_model))
        + (listens or ("--uds", str(path)))
        + engine_adapters(layout.engine_model, layout.home)
        + (() if listens else ("--key-file", str(paths.var_dir() / "engine.key")))
        + ("--drain-timeout", f"{_drain_s():g}")
        + engine_flags(),
        ready=lambda: answers_http(address, "/health"),
        prepare=lambda: None if listens else path.unlink(missing_ok=True),
        stop_timeout_s=_drain_s() + 10,
        memory_mb=1024,
    )


def web(layout: Layout) -> Process:
    """HTTP, event streams and WebSockets; `arena/serve.py` holds the bounds of its connections."""
    return _ours(
        layout,
        "web",
        ("-m", "arena.serve", "--host", layout.host, "--port", str(layout.port)),
        ready=lambda: answers_http((layout.host, layout.port), "/healthz"),
        memory_mb=150,
    )


def _drain_s() -> float:
    return float(os.environ.get("AGON_DRAIN_S") or 20)


def workers(layout: Layout) -> list[Process]:
    """Celery: one node per kind of work, and the clock."""
    drain_s = _drain_s()
    few_arenas = {"MALLOC_ARENA_MAX": "2"}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    patient = {"AGON_NICE": "19"}  # nobody waits for them at a page: what people look at goes first
    return [
        *(
            _celery(
                layout,
                "worker-generate" if number == 1 else f"worker-generate-{number}",
                ("worker", "-P", "threads", "-c", "2", "-Q", "generate", *WORKER_FLAGS),
                env=few_arenas,
                stop_timeout_s=drain_s + 15,
                memory_mb=150,
            )
            for number in range(1, layout.generators + 1)
        ),
        _celery(
            layout,
            "worker-batch",
            ("worker", "-P", "prefork", "-c", "2", "-Q", "rank,default", *WORKER_FLAGS)
            + ("--max-memory-per-child", str(CHILD_KB)),
            env=few_arenas | one_thread | patient,
            stop_timeout_s=drain_s,
            memory_mb=350,
        ),
        _celery(
            layout,
            "worker-long",
            ("worker", "-P", "prefork", "-c", "1", "-Q", "export", *WORKER_FLAGS)
            + ("--max-memory-per-child", str(4 * CHILD_KB)),
            env=few_arenas | one_thread | patient,
            stop_timeout_s=drain_s,
            late=True,
        ),
        # intervals only, so the schedule need not survive a restart: no file that a crash could spoil
        _celery(
            layout, "beat", ("beat", "--scheduler", "celery.beat:Scheduler", "--loglevel", "WARNING", "--pidfile", "")
        ),
    ]


def _celery(
    layout: Layout, name: str, argv: tuple[str, ...], env: dict[str, str] | None = None, **more: object
) -> Process:
    """A Celery node says that it is ready by making a file (arena/celery.py), so nobody has to read its log."""
    mark = layout.marks / f"{name}.ready"
    node = ("-n", f"{name}@%h") if argv[0] == "worker" else ()
    return _ours(
        layout,
        name,
        ("-m", "celery", "-q", "-A", "arena", *argv, *node),
        # root is fine where a container runs us; tasks are JSON, which is what the warning is about
        env={**(env or {}), "AGON_READY_FILE": str(mark), "PYTHONWARNINGS": "ignore:You're running the worker"},
        ready=mark.exists,
        prepare=lambda: mark.unlink(missing_ok=True),
        stage=2,
        **more,
    )


def _ours(
    layout: Layout, name: str, argv: tuple[str, ...], env: dict[str, str] | None = None, **more: object
) -> Process:
    environment = {"PYTHONUNBUFFERED": "1", MARK: str(paths.run_dir()), **(env or {})}
    return Process(name=name, argv=(layout.python, *argv), env=environment, **more)  # type: ignore[arg-type]
