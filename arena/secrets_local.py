"""Secrets of a local installation: made once, kept in files that only their owner can read."""

import os
import secrets
from pathlib import Path


def local_secret(folder: Path, name: str) -> str:
    """The secret `name`, created at the first call. Safe when several processes start at once."""
    path = folder / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(secrets.token_urlsafe(48) + "\n")
    try:
        os.link(fresh, path)  # whoever links first wins; the others read the winner's
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
