"""The secrets without which a restored database is only half of the site.

| key | what is lost without it |
|---|---|
| seal key | the API keys of endpoints and the address keys cannot be opened; they must be entered again, prefix bans end |
| secret key | every visitor becomes a stranger to their own battles; staff sign in again; recovery codes open nothing |
| release key | no further release can be made (its ids would be others), and a person's later votes count as a stranger's |
"""

import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from arena.backup import BackupRefused
from arena.backup.archive import KEYS, Verified

LISTS = {
    "agon_seal_key": "AGON_SEAL_KEYS",
    "agon_secret_key": "AGON_SECRET_KEY_FALLBACKS",
}  # where more than one can stand


def current() -> dict[str, list[str]]:
    """What this process works with, by file name; the first of each list is the one that is used for new things."""
    return {
        "agon_secret_key": [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS],
        "agon_seal_key": list(settings.SEAL_KEYS),
        "agon_release_key": [settings.RELEASE_KEY],
    }


def members() -> Iterator[tuple[str, bytes]]:
    for name, values in current().items():
        yield f"{KEYS}{name}", ("\n".join(values) + "\n").encode()


def wanted(archive: Verified) -> dict[str, str]:
    """The keys of the archive that this installation lacks and can take over: file name -> value.

    Raises BackupRefused for keys that come from the environment, which nobody but the operator can change.
    """
    found: dict[str, str] = {}
    ours = current()
    for name in ours:
        values = _values(archive, name)
        if not values or set(values) <= set(ours[name]):
            continue
        if _given(name) or len(values) > 1:
            raise BackupRefused(_advice(archive, name))
        found[name] = values[0]
    return found


def _values(archive: Verified, name: str) -> list[str]:
    """[] for an archive that was made without keys."""
    if f"{KEYS}{name}" not in archive.files:
        return []
    return archive.read(f"{KEYS}{name}").decode().rstrip("\n").split("\n")


def _given(name: str) -> bool:
    names = [name.upper(), LISTS.get(name, name.upper())]
    return settings.PRODUCTION or any(os.environ.get(one) or os.environ.get(f"{one}_FILE") for one in names)


def _advice(archive: Verified, name: str) -> str:
    also = f" (or add it to {LISTS[name]})" if name in LISTS else ""
    return (
        f"{name.upper()} is not the key that this backup was made under. Set it to what "
        f"`tar -xOf {archive.path} {KEYS}{name}` prints{also}, or restore with --keep-keys and lose what docs/operating.md lists"
    )


def take_over(found: dict[str, str], stamp: str) -> list[str]:
    """Write keys into var/keys; what was there stays beside them. Returns the names."""
    folder = Path(settings.VAR) / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in found.items():
        path, fresh = folder / name, folder / f".{name}.{stamp}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(value + "\n")
            out.flush()
            os.fsync(out.fileno())
        if path.exists():
            path.replace(folder / f"{name}.before-{stamp}")
        fresh.replace(path)
    return sorted(found)
