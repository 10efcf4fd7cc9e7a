"""Builds the C kernels with one compiler call: `python -m kernels.build`, at install or when a process first needs them.

The library's name holds the hash of the sources and flags, then that of the compiler, so that a change of either builds anew and
nothing else does. Where no compiler is, a library that was built elsewhere from the same sources serves.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
UNITS = ("agon.c", "pack.c", "team.c")
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 120.0
KEPT = 4  # builds that stay in the folder


class BuildError(RuntimeError):
    """There is no library and none can be built; the message says why."""


def folders() -> list[Path]:
    """Where libraries are looked for: `AGON_KERNELS_DIR`, else cache/kernels in var/ of the repository, then in `AGON_VAR`.

    The repository first, so that installations in other folders (tests make many) share one build.
    """
    given = os.environ.get("AGON_KERNELS_DIR")
    if given:
        return [Path(given).absolute()]
    var = Path(__file__).parents[1] / "var"
    places = [var, Path(os.environ.get("AGON_VAR") or var).absolute()]
    return [place / "cache/kernels" for place in dict.fromkeys(places)]


def compiler() -> list[str]:
    """The C compiler as a command: `CC`, else the first of cc, gcc and clang. Empty when there is none."""
    for name in [os.environ.get("CC", ""), *COMPILERS]:
        words = shlex.split(name)
        found = shutil.which(words[0]) if words else None
        if found:
            return [found, *words[1:]]
    return []


def library() -> Path:
    """The library of these sources, built in the first folder that can be written to if it is in none. Raises BuildError."""
    command, places = compiler(), folders()
    stem = f"agon-{platform.machine()}-{_source_hash()}"
    name = f"{stem}-{_compiler_hash(command) if command else '*'}.so"
    for place in places:
        for ready in sorted(place.glob(name)):
            return ready
    if not command:
        raise BuildError(f"no C compiler (cc, gcc or clang) and no {name} in {' or '.join(map(str, places))}")
    path = next((place for place in places if _writable(place)), places[0]) / name
    _compile(command, path)
    _forget_old(path)
    return path


def _writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK)


def _source_hash() -> str:
    found = hashlib.sha256(repr((FLAGS, UNITS)).encode())
    for path in sorted(SOURCES.iterdir()):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _compiler_hash(command: list[str]) -> str:
    """By the file that the command leads to: asking it for its version would cost a process at every start."""
    path = os.path.realpath(command[0])
    state = os.stat(path)
    return hashlib.sha256(repr((path, state.st_size, state.st_mtime_ns, command[1:])).encode()).hexdigest()[:8]


def _compile(command: list[str], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            args = [*command, *FLAGS, "-o", str(made), *(str(SOURCES / unit) for unit in UNITS), "-lm"]
            done = subprocess.run(args, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
                raise BuildError(f"{command[0]} failed: {lines[0] if lines else done.returncode}")
            os.replace(made, path)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]} took more than {TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise BuildError(f"cannot build in {path.parent}: {error}") from None


def _forget_old(path: Path) -> None:
    """Keep the newest builds beside `path`; a process that has one of the others loaded keeps its copy."""
    builds = sorted(path.parent.glob("agon-*.so"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in builds[KEPT:]:
        if old != path:
            old.unlink(missing_ok=True)


def main() -> int:
    """Say where the library is; 0 also when there can be none, because the engine then runs without it."""
    try:
        print(f"kernels: {library()}")
    except BuildError as error:
        print(f"kernels: none ({error}); the engine will use torch alone", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
