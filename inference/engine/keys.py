"""The engine's bearer key: from AGON_ENGINE_KEY or the file that AGON_ENGINE_KEY_FILE names, else made at the first start."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from pathlib import Path

from inference.engine.config import ConfigError

ENV = "AGON_ENGINE_KEY"
FILE_ENV = "AGON_ENGINE_KEY_FILE"  # a secret that somebody else made; never created or changed here
DEFAULT_FILE = Path("var/engine.key")
MIN_CHARS = 16

log = logging.getLogger(__name__)


Environ = os._Environ[str] | dict[str, str]


def given_key(environ: Environ = os.environ) -> str:
    """The key that the operator gave explicitly, "" when none. Raises ConfigError for a file that cannot be read."""
    if path := environ.get(FILE_ENV):
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{FILE_ENV}={path} cannot be read ({error})") from None
    return environ.get(ENV, "").strip()


def engine_key(path: Path = DEFAULT_FILE, environ: Environ = os.environ) -> str:
    """The key. Two first starts at once agree on one; the file is never seen half-written or readable by others.

    Raises ConfigError for a key that is too short or a file that cannot be read or made.
    """
    if given := given_key(environ):
        return _checked(given, FILE_ENV if environ.get(FILE_ENV) else ENV)
    try:
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            log.warning("%s was readable by others; its mode is 0600 now", path)
            path.chmod(0o600)
        return _checked(path.read_text(encoding="ascii").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be used ({error}); set {ENV} or --key-file") from None


def _checked(key: str, source: str) -> str:
    if len(key) < MIN_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"the key in {source} must have at least {MIN_CHARS} printable ASCII characters, no blanks")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike rename, fails when another start was first
        except FileExistsError:
            log.info("another process has just made %s", path)
    finally:
        draft.unlink(missing_ok=True)


def authorised(header: str | None, key: str) -> bool:
    """Whether an Authorization header carries `key`; compared in constant time."""
    scheme, _, token = (header or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), key.encode())
