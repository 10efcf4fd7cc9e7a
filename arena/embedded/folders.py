"""Folders that belong to a server's user and to nobody else."""

import os
from pathlib import Path

from arena.supervisor.process import Account


class FolderRefused(RuntimeError):
    """A folder is not ours to use; the message says what to do."""


def private(path: Path, user: Account | None) -> Path:
    """Make `path` with mode 0700 for the server's user. As root, an existing tree is handed over to that user.

    Only `path` itself and what is below it changes hands; parents that are missing are made, never changed.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    status = path.lstat()
    wanted = user.uid if user else os.geteuid()
    if path.is_symlink() or not path.is_dir():
        raise FolderRefused(f"{path} is not a folder: remove it")
    if status.st_uid != wanted:
        if os.geteuid() != 0 or user is None or path.parent.stat().st_mode & 0o002:  # never adopt a stranger's in /tmp
            raise FolderRefused(
                f"{path} belongs to uid {status.st_uid} (was it started as root before?): start as that user or root, "
                f"or run `chown -R {wanted} {path}` as root"
            )
        _hand_over(path, user)
    if status.st_mode & 0o777 != 0o700:
        path.chmod(0o700)
    return path


def _hand_over(path: Path, user: Account) -> None:
    for folder, _, files in os.walk(path):
        for name in files:
            os.chown(os.path.join(folder, name), user.uid, user.gid, follow_symlinks=False)
        os.chown(folder, user.uid, user.gid, follow_symlinks=False)
