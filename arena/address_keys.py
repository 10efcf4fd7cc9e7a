"""The secrets under which address prefixes are hashed: one is current, it is replaced on a schedule and thrown away in time.

A keyed hash can be tested against a guess by whoever holds its key. Therefore no key lives longer than it must: `rotate`
replaces the current one after ADDRESS_KEY_DAYS, and deletes a replaced one as soon as no live ban needs it. From then
on nobody, the operator included, can say which address a stored hash stands for.
"""

import hmac
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from django.conf import settings
from django.db import connection, transaction

from arena import clock
from arena.models import AddressKey, Ban
from inference import sealed

log = logging.getLogger(__name__)
CACHE_S = 60.0  # a process hashes under a replaced key for at most so long
KEPT_AFTER = timedelta(days=1)  # a replaced key stays so long, so that yesterday's prefixes can still be banned
HASH_CHARS = 32
LOCK = 0x61676164  # "agad"; advisory locks are numbers


@dataclass(frozen=True)
class Key:
    """An opened key. `hash` gives "<tag>-<32 hex digits>", which is what is stored."""

    tag: str
    secret: bytes

    def hash(self, prefix: str) -> str:
        return f"{self.tag}-{hmac.new(self.secret, prefix.encode(), 'sha256').hexdigest()[:HASH_CHARS]}"


_cached: tuple[float, Key] | None = None  # when it was read (monotonic seconds), and the key


def current() -> Key:
    """The key of new hashes, made when there is none; a process asks the database once in CACHE_S seconds."""
    global _cached
    held = _cached
    if held is None or monotonic() - held[0] >= CACHE_S:
        held = _cached = (monotonic(), _newest() or _made())
    return held[1]


def forget() -> None:
    """Read the current key again at its next use (after a rotation, and between tests)."""
    global _cached
    _cached = None


def tag_of(group: str) -> str:
    """Which key a stored hash was made under; "" for hashes from before there were keys."""
    return group.partition("-")[0] if "-" in group else ""


def in_use() -> list[Key]:
    """The keys that a live ban needs."""
    needed = AddressKey.objects.filter(pk__in=Ban.objects.live().filter(key__isnull=False).values("key"))
    return [key for row in needed if (key := opened(row))]


def opened(row: AddressKey) -> Key | None:
    """The key of a row; None when it was sealed under a key of the environment that is gone."""
    try:
        return Key(row.tag, bytes.fromhex(sealed.unseal(row.sealed_secret)))
    except sealed.WrongSealKey:
        log.error("address key %s cannot be opened: AGON_SEAL_KEYS lacks what it was sealed under", row.tag)
        return None


def rotate() -> int:
    """Replace the current key when it is old enough, and delete what is no longer needed; returns how many keys are gone."""
    newest = AddressKey.objects.order_by("-created_at").first()
    if newest and newest.created_at <= clock.now() - timedelta(days=settings.ADDRESS_KEY_DAYS):
        _made(instead_of=newest.tag)
    # Newest first: the first of those that are a day old is current, or was replaced less than a day ago.
    aged = AddressKey.objects.filter(created_at__lte=clock.now() - KEPT_AFTER).order_by("-created_at")
    return sum(_delete(tag) for tag in aged.values_list("tag", flat=True)[1:])


def _delete(tag: str) -> bool:
    """Delete a key with its dead bans, which no request can be checked against any more. False while a live ban needs it."""
    with transaction.atomic():
        row = AddressKey.objects.select_for_update().filter(pk=tag).first()
        if row is None or Ban.objects.live().filter(key=row).exists():
            return False
        Ban.objects.filter(key=row).delete()
        row.delete()
    forget()
    return True


def _newest() -> Key | None:
    row = AddressKey.objects.order_by("-created_at").first()
    return opened(row) if row else None


def _made(instead_of: str = "") -> Key:
    """A new current key, made by one process at a time; whoever comes second takes the first one's."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        newest = _newest()
        if newest and newest.tag != instead_of:
            return newest
        key = Key(secrets.token_hex(4), secrets.token_bytes(32))
        AddressKey.objects.create(tag=key.tag, sealed_secret=sealed.seal(key.secret.hex()), created_at=clock.now())
    forget()
    return key
