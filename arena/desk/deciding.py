"""Deciding conversations at the desk, such that nobody passes what they have not seen or what a colleague has just decided.

Each page carries the `mark` of what it showed. A decision is taken under a lock on the battle, and only while the mark is still
its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from arena.errors import Refused
from arena.models import Battle, Message, ModerationRecord, Turn
from arena.models.battles import TurnState
from arena.models.moderation import Standing
from arena.moderation import decisions, verdicts

PASS, BLOCK = "pass", "block"
SEVERE = frozenset({"minors", "sexual/minors"})  # never passed in bulk: somebody must have opened the case


@dataclass
class Bulk:
    """What became of a bulk pass."""

    passed: int = 0
    changed: list[UUID] = field(default_factory=list)  # decided or gone on meanwhile
    severe: list[UUID] = field(default_factory=list)


def marks(battles: Iterable[Battle]) -> dict[UUID, str]:
    """For each battle: newest human record and newest message, in two queries."""
    sides = {battle.conversation_id(side): battle.pk for battle in battles for side in ("a", "b")}
    heard, said = dict.fromkeys(sides.values(), ""), dict.fromkeys(sides.values(), "")
    records = ModerationRecord.objects.filter(backend=verdicts.HUMAN, message__conversation__in=list(sides))
    for pk, conversation in records.values_list("pk", "message__conversation"):
        heard[sides[conversation]] = max(heard[sides[conversation]], pk.hex)
    for pk, conversation in Message.objects.filter(conversation__in=list(sides)).values_list("pk", "conversation"):
        said[sides[conversation]] = max(said[sides[conversation]], pk.hex)
    return {pk: f"{heard[pk]}.{said[pk]}" for pk in heard}


@transaction.atomic
def decide(battle: Battle, moderator: User, verdict: str, reason: str, seen: str) -> None:
    """Pass or block both conversations. `seen` is the mark of the page that the moderator looked at.

    Refused 400 for an unknown verdict or a block without a reason; 409 when a colleague decided (who, when) or the conversation
    went on meanwhile.
    """
    if verdict not in (PASS, BLOCK):
        raise Refused(400, "verdict", _("Choose to pass or to block."))
    decisions.lock([battle])
    if marks([battle])[battle.pk] != seen:
        raise _changed(battle, seen)
    if verdict == PASS:
        decisions.pass_battles([battle], moderator, reason)
    else:
        decisions.block_battle(battle, moderator, reason)


@transaction.atomic
def pass_many(seen: dict[UUID, str], moderator: User, reason: str) -> Bulk:
    """Pass these battles with one reason, except those that changed since they were listed (`seen`: id -> mark).

    Refused 400 without a reason, for none and for more than settings.DESK_BULK.
    """
    if not reason.strip():
        raise Refused(400, "reason", _("Say why: the reason is kept with each record."))
    if not 0 < len(seen) <= settings.DESK_BULK:
        raise Refused(
            400, "bulk", _("Choose at least one conversation and at most %(most)d.") % {"most": settings.DESK_BULK}
        )
    battles = decisions.lock(Battle.objects.filter(pk__in=list(seen)))
    now, severe, writing, done = marks(battles), _severe(battles), _writing(battles), Bulk()
    done.changed = [one.pk for one in battles if now[one.pk] != seen[one.pk] or one.pk in writing]
    done.severe = [battle.pk for battle in battles if battle.pk in severe and battle.pk not in done.changed]
    left = [battle for battle in battles if battle.pk not in {*done.changed, *done.severe}]
    done.passed = decisions.pass_battles(left, moderator, reason)
    return done


def _writing(battles: Iterable[Battle]) -> set[UUID]:
    """Battles with answers on their way."""
    open_turns = Turn.objects.filter(battle__in=[battle.pk for battle in battles]).exclude(state=TurnState.DONE)
    return set(open_turns.values_list("battle", flat=True))


def _severe(battles: Iterable[Battle]) -> set[UUID]:
    """Battles with a record of a severe category, whatever has been said of it since."""
    sides = {battle.conversation_id(side): battle.pk for battle in battles for side in ("a", "b")}
    flags = ModerationRecord.objects.filter(message__conversation__in=list(sides), standing=Standing.FLAGGED)
    found = flags.values_list("categories", "message__conversation")
    return {sides[conversation] for categories, conversation in found if SEVERE & set(categories)}


def _changed(battle: Battle, seen: str) -> Refused:
    """Who decided meanwhile, or that there is more to read."""
    newest = decisions.newest(battle)
    if newest is None or newest.pk.hex == seen.partition(".")[0]:
        return Refused(409, "changed", _("The conversation went on while you read it. Look at what was added."))
    words = _("%(who)s decided this at %(time)s: %(decision)s. Look again before you change it.") % {
        "who": newest.moderator.get_username() if newest.moderator else _("A former colleague"),
        "time": date_format(localtime(newest.created_at), "Y-m-d H:i"),
        "decision": newest.get_standing_display(),
    }
    return Refused(409, "decided", words)
