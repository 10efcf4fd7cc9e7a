"""Where releases lie, and how files get there: written aside, flushed to the disk, and renamed into place as a whole.

`<RELEASES_DIR>/<name>/` holds a published release and nothing else ever has that name; `.building-<job>/` is what a job writes
and nobody can download. Whatever a crash leaves belongs to no published release, and `remove_leftovers` takes it away.
"""

import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from django.conf import settings

BUILDING = ".building-"
CHUNK = 1 << 20


def root() -> Path:
    return Path(settings.RELEASES_DIR)


def home(name: str) -> Path:
    """The folder of a published release."""
    return root() / name


def workplace(job_id: UUID) -> Path:
    """An empty folder for a job's files; what an earlier try has left there is gone. OSError when it cannot be made."""
    folder = root() / f"{BUILDING}{job_id.hex}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "spill").mkdir(parents=True)
    (folder / "out").mkdir()
    return folder


def discard(job_id: UUID) -> None:
    shutil.rmtree(root() / f"{BUILDING}{job_id.hex}", ignore_errors=True)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def files(folder: Path) -> list[Path]:
    """All files below a folder, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flush(folder: Path) -> None:
    """Every file and folder of a tree is on the disk when this returns."""
    for path in [*folder.rglob("*"), folder]:
        _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_home(folder: Path, name: str) -> None:
    """Make a flushed folder the release's home, in one rename. What lay there was never published."""
    remove(name)
    folder.rename(home(name))
    _fsync(root())


def remove(name: str) -> None:
    """Take a release's files away. Renamed first, so that no half of it is ever at its address."""
    try:
        aside = root() / f"{BUILDING}removed-{name}"
        shutil.rmtree(aside, ignore_errors=True)
        home(name).rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(at_work: Collection[UUID], unpublished: Collection[str]) -> int:
    """Remove work folders of jobs that are not at work, and homes of releases that are not published; returns how many."""
    keep = {f"{BUILDING}{job_id.hex}" for job_id in at_work}
    found = [path for path in root().glob(f"{BUILDING}*") if path.name not in keep]
    found += [home(name) for name in unpublished if home(name).exists()]
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
    return len(found)
