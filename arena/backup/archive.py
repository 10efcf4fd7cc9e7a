"""The file: an uncompressed tar (its parts are compressed) whose last member, manifest.json, has the sha256 of all others.

A file that was cut off has no manifest, and one that was changed does not match it: `verify` refuses both.
"""

import hashlib
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from arena.backup import BackupRefused

FORMAT = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
KEYS, RELEASES = "keys/", "releases/"
CHUNK = 1 << 20
MANIFEST_MOST = 64 << 20  # bytes; about 150 per file


@dataclass(frozen=True)
class Verified:
    """An archive of which every byte is what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return dict(self.manifest["files"])

    def read(self, name: str) -> bytes:
        """One small member. Raises BackupRefused when it is not there."""
        with _whole(self.path):
            for info, content in _members(self.path):
                if info.name == name:
                    return content.read()
        raise BackupRefused(f"{self.path} has no {name}")

    def extract(self, prefix: str, folder: Path) -> int:
        """The members below `prefix` (or the one of that name) into `folder`, hashed again on their way; returns how many."""
        count = 0
        with _whole(self.path):
            for info, content in _members(self.path):
                if info.name.startswith(prefix):
                    inside = info.name.removeprefix(prefix) if prefix.endswith("/") else info.name
                    self._copy(info, content, folder / inside)
                    count += 1
        return count

    def _copy(self, info: tarfile.TarInfo, content: IO[bytes], target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        with target.open("xb") as out:
            while block := content.read(CHUNK):
                hashed.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if hashed.hexdigest() != self.files[info.name]["sha256"]:
            raise BackupRefused(f"{self.path} changed while it was being read: {info.name}")


class _Hashed:
    """A file that remembers what was read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.sha256 = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.source.read(size)
        self.sha256.update(block)
        return block


def write(path: Path, members: Iterable[tuple[str, Path | bytes]], facts: dict[str, Any]) -> dict[str, Any]:
    """A new archive at `path`, flushed to the disk; returns its manifest. OSError as the disk has it."""
    files: dict[str, dict[str, Any]] = {}
    with path.open("xb") as out:
        os.chmod(path, 0o600)
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, source in members:
                files[name] = _add(tar, name, source)
            manifest = {"format": FORMAT, **facts, "files": files}
            _add(tar, MANIFEST, json.dumps(manifest, indent=1).encode())
        out.flush()
        os.fsync(out.fileno())
    return manifest


def _add(tar: tarfile.TarFile, name: str, source: Path | bytes) -> dict[str, Any]:
    """A member of exactly the size that it has now; tarfile raises OSError when a file shrinks under it."""
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size = len(source) if isinstance(source, bytes) else os.fstat(file.fileno()).st_size
        info.mode, info.mtime = 0o600, int(time.time())
        hashed = _Hashed(file)
        tar.addfile(info, hashed)
    return {"size": info.size, "sha256": hashed.sha256.hexdigest()}


def verify(path: Path) -> Verified:
    """Read the whole file once. Raises BackupRefused when it is no backup, incomplete, changed, or of a later format."""
    try:
        with _whole(path):
            manifest, found = _look(path)
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read: {error.strerror or error}") from None
    if manifest is None:
        raise BackupRefused(f"{path} is incomplete: it ends before its manifest. Take another backup")
    if manifest.get("format") != FORMAT:
        raise BackupRefused(
            f"{path} has format {manifest.get('format')}, this version reads {FORMAT}: install a newer one"
        )
    listed = manifest["files"]
    if changed := sorted(name for name in {*found, *listed} if found.get(name) != listed.get(name)):
        raise BackupRefused(
            f"{path} is damaged, nothing was restored: {', '.join(changed[:5])} differs from the manifest"
        )
    return Verified(path, manifest)


def _look(path: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """The manifest, None when the file ends before it, and what is really there."""
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    for info, content in _members(path):
        if manifest is not None or info.name in found:
            raise BackupRefused(f"{path} is no backup of Agon: {info.name} should not be there")
        if info.name == MANIFEST:
            manifest = _manifest(path, info, content)
        else:
            digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
            found[info.name] = {"size": info.size, "sha256": digest}
    return manifest, found


def _manifest(path: Path, info: tarfile.TarInfo, content: IO[bytes]) -> dict[str, Any]:
    try:
        found = json.loads(content.read()) if info.size <= MANIFEST_MOST else None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise BackupRefused(f"{path} is damaged: its manifest cannot be read")
    return found


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Every member in turn; only plain files inside the archive, whatever the file claims to be."""
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            if content is None or not _inside(info.name):
                raise BackupRefused(f"{path} is no backup of Agon: {info.name!r} is not a plain file")
            yield info, content


def _inside(name: str) -> bool:
    """A path in its one spelling: `releases//etc/x` would be /etc/x once its folder is taken off."""
    path = PurePosixPath(name)
    return path.as_posix() == name and not path.is_absolute() and ".." not in path.parts and bool(path.parts)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What tarfile finds wrong, in words for operators."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused(f"{path} is no backup of Agon, or was cut off ({error})") from None
