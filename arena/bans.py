"""Bans: a visitor by id, or an address prefix by its keyed hash. Every ban and every lift is in the audit trail.

A prefix ban holds the hash that the banned battle stored, under the key of that day. `refuse_banned` therefore hashes the
address at hand under every key that a live ban needs; `arena/address_keys.py` keeps those keys, and no others.
"""

from datetime import datetime, timedelta
from time import monotonic

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import transaction
from django.db.models import F, Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from arena import address_keys, audit, clock
from arena.addresses import UNKNOWN
from arena.errors import Refused
from arena.models import AddressKey, Ban, Visitor
from arena.models.bans import PREFIX_BAN_MOST

PREFIX_BAN_USUAL = timedelta(days=7)
CACHE_S = 5.0  # a process learns of the first ban of another one after at most so long
MAX_REASON = 200

Actor = AbstractBaseUser | AnonymousUser | None
_any_live: tuple[float, bool] | None = None  # when it was read (monotonic seconds), and whether anybody is banned


def ban_visitor(visitor: Visitor, actor: Actor, reason: str, until: datetime | None = None) -> Ban:
    """Keep a visitor out until `until`, None = until lifted; a live ban of the same visitor ends with it.

    Refused 400 without a reason or when `until` has passed.
    """
    return _ban(actor, _sound(reason, until), visitor=visitor, expires_at=until)


def ban_prefix(group: str, actor: Actor, reason: str, until: datetime | None = None) -> Ban:
    """Keep an address prefix out, named as `Turn.group` has it; None = for PREFIX_BAN_USUAL.

    Refused 400 as above or for more than PREFIX_BAN_MOST, 409 for what names everybody, 410 when the key is gone: then no
    address could be recognised.
    """
    until = until or clock.now() + PREFIX_BAN_USUAL
    reason = _sound(reason, until)
    if until > clock.now() + PREFIX_BAN_MOST:
        raise Refused(
            400, "too_long", _("An address can be banned for at most %(days)d days.") % {"days": PREFIX_BAN_MOST.days}
        )
    with transaction.atomic():
        row = AddressKey.objects.select_for_update().filter(pk=address_keys.tag_of(group)).first()
        key = address_keys.opened(row) if row else None
        if key is None:
            raise Refused(410, "key_gone", _("This address was stored under a key that no longer exists."))
        if group == key.hash(UNKNOWN):
            raise Refused(409, "everybody", _("This address stands for everybody whose address is not known."))
        return _ban(actor, reason, key=row, group=group, expires_at=until)


def lift(ban: Ban, actor: Actor, reason: str = "") -> bool:
    """End a ban now. False when it no longer held."""
    moment = clock.now()
    with transaction.atomic():
        if not Ban.objects.live().filter(pk=ban.pk).update(lifted_at=moment, lifted_by=_user(actor)):
            return False
        ban.refresh_from_db()
        audit.record(actor, "lift", ban, {"lifted_at": None}, {"lifted_at": moment}, reason)
    return True


def refuse_banned(visitor: Visitor | None, prefix: str) -> None:
    """Refused 403 with the public reason and the end, when the visitor or the prefix (as `client_prefix` has it) is banned.

    Two queries while anybody is banned at all, else none but one in CACHE_S seconds.
    """
    if not _somebody_is_banned():
        return
    theirs = Q(group__in=[key.hash(prefix) for key in address_keys.in_use()])
    if visitor is not None:
        theirs |= Q(visitor=visitor)
    ban = Ban.objects.live().filter(theirs).order_by(F("expires_at").desc(nulls_first=True)).first()
    if ban is not None:
        raise Refused(403, "banned", _words(ban), until=ban.expires_at, reason=ban.reason)


def forget() -> None:
    """Ask the database again at the next request (after a change, and between tests)."""
    global _any_live
    _any_live = None


def _words(ban: Ban) -> str:
    if ban.expires_at is None:
        return _("You cannot take part here. Reason: %(reason)s") % {"reason": ban.reason}
    until = date_format(ban.expires_at, "DATETIME_FORMAT")
    return _("You cannot take part here until %(until)s UTC. Reason: %(reason)s") % {
        "until": until,
        "reason": ban.reason,
    }


def _ban(actor: Actor, reason: str, **values: object) -> Ban:
    subject = {name: value for name, value in values.items() if name in ("visitor", "group")}
    with transaction.atomic():
        for old in Ban.objects.live().filter(**subject):
            lift(old, actor, _("Replaced by another ban."))
        ban = Ban.objects.create(reason=reason, created_by=_user(actor), created_at=clock.now(), **values)
        audit.record(actor, "ban", ban, after=audit.fields(ban), reason=reason)
        transaction.on_commit(forget)
    forget()
    return ban


def _sound(reason: str, until: datetime | None) -> str:
    reason = " ".join(reason.split())
    if not reason or len(reason) > MAX_REASON:
        raise Refused(
            400, "reason", _("Give a reason of at most %(limit)d characters; it is shown.") % {"limit": MAX_REASON}
        )
    if until is not None and until <= clock.now():
        raise Refused(400, "past", _("A ban must end in the future."))
    return reason


def _user(actor: Actor) -> User | None:
    return actor if isinstance(actor, User) else None


def _somebody_is_banned() -> bool:
    global _any_live
    held = _any_live
    if held is None or monotonic() - held[0] >= CACHE_S:
        held = _any_live = (monotonic(), Ban.objects.live().exists())
    return held[1]
