"""Environment variables, read strictly: a bad value stops the start with one line that says what to write."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class Env:
    """Typed reads of an environment. `NAME_FILE` names a file that holds the value (secrets)."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self.source = os.environ if source is None else source

    def text(self, name: str, default: str = "") -> str:
        path = self.source.get(f"{name}_FILE")
        if not path:
            return self.source.get(name, default)
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={path}: {error.strerror}") from None

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.source.get(name)
        if value is None:
            return default
        if value.lower() in TRUE:
            return True
        if value.lower() in FALSE:
            return False
        raise ImproperlyConfigured(f"{name}={value!r}: write 1 or 0")

    def number(self, name: str, default: int, least: int = 0) -> int:
        value = self.source.get(name)
        try:
            result = default if value is None else int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value!r}: write a whole number") from None
        if result < least:
            raise ImproperlyConfigured(f"{name}={result}: must be at least {least}")
        return result

    def seconds(self, name: str, default: float) -> float:
        value = self.source.get(name)
        try:
            result = default if value is None else float(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value!r}: write a number") from None
        if result < 0:
            raise ImproperlyConfigured(f"{name}={result}: must not be negative")
        return result

    def share(self, name: str, default: float) -> float:
        """A number from 0 to 1."""
        result = self.seconds(name, default)
        if result > 1:
            raise ImproperlyConfigured(f"{name}={result:g}: write a share, from 0 to 1")
        return result

    def shares(self, name: str, default: str = "") -> dict[str, float]:
        """`name=number` pairs behind commas, each number from 0 to 1."""
        shares = {}
        for part in self.names(name, default):
            key, sign, number = part.rpartition("=")
            try:
                shares[key.strip()] = float(number)
            except ValueError:
                sign = ""
            if not sign or not key.strip() or not 0 <= shares[key.strip()] <= 1:
                raise ImproperlyConfigured(
                    f"{name}: write name=number pairs behind commas, numbers from 0 to 1, not {part!r}"
                )
        return shares

    def names(self, name: str, default: str = "") -> list[str]:
        """Separated by commas or, which suits files, by lines."""
        return [part.strip() for part in self.text(name, default).replace("\n", ",").split(",") if part.strip()]


def with_password(url: str, password: str) -> str:
    """`url` with `password` where it has none of its own."""
    parts = urlsplit(url)
    if not password or parts.password or not parts.hostname:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))
