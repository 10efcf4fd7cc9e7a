"""A person's own data as a text to read: the same facts as the JSON file, in the language of the page."""

from collections.abc import Callable, Iterator
from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from arena.models import Choice
from arena.models.battles import FinishReason, ReplyState
from arena.models.moderation import Decision, ReportReason
from arena.own_data import Fact

RULE = "=" * 72


def about(fact: Fact) -> str:
    lines = [
        _("My data at %(site)s, as of %(moment)s") % {"site": fact["site"], "moment": _when(fact["made_at"])},
        _("First visit: %(moment)s") % {"moment": _when(fact["first_seen"])},
        _("A recovery code exists.") if fact["has_recovery_code"] else _("There is no recovery code."),
    ]
    return _block(lines)


def consents(fact: Fact) -> str:
    words = _("publishing allowed") if fact["publish"] else _("publishing not allowed")
    said = _("%(moment)s: version %(number)d of the terms accepted, %(publishing)s")
    return said % {"moment": _when(fact["at"]), "number": fact["terms_version"], "publishing": words} + "\n"


def bans(fact: Fact) -> str:
    said = _("Banned on %(moment)s. Reason: %(reason)s")
    return said % {"moment": _when(fact["from"]), "reason": fact["reason"]} + "\n"


def reports(fact: Fact) -> str:
    said = _("Report of %(moment)s, answer %(side)s of turn %(number)d in battle %(battle)s: %(reason)s")
    values = {"side": fact["side"].upper(), "number": fact["turn"], "battle": fact["battle"]}
    reason = ReportReason(fact["reason"]).label
    return _block([said % {"moment": _when(fact["at"]), "reason": reason, **values}, fact["text"], _decided(fact)])


def blocked_prompts(fact: Fact) -> str:
    lines = [_("Not sent on %(moment)s, because of a rule:") % {"moment": _when(fact["at"])}, fact["prompt"]]
    if appeal := fact["appeal"]:
        lines += [_("Your appeal:") + " " + appeal["text"], _decided(appeal), appeal["answer"] or ""]
    return _block(lines)


def battles(fact: Fact) -> str:
    return _block([RULE, _("Battle of %(moment)s") % {"moment": _when(fact["begun_at"])}, *_battle(fact)])


def _battle(fact: Fact) -> Iterator[str]:
    yield fact["address"]
    for turn in fact["turns"]:
        yield "\n" + _("You:") + "\n" + turn["prompt"]
        for side, answer in turn["answers"].items():
            name = fact["models"][side]
            yield f"\n{side.upper()}{f' ({name})' if name else ''}:\n{_answer(answer)}"
    if vote := fact["vote"]:
        said = _("Your vote on %(moment)s: %(choice)s")
        yield "\n" + said % {"moment": _when(vote["at"]), "choice": Choice(vote["choice"]).label}
        yield _("Its receipt: %(receipt)s") % {"receipt": vote["receipt"]}
    if fact["share_link"]:
        yield _("Shared at %(address)s") % {"address": fact["share_link"]}
    for release in {one["name"]: one for side in fact["releases"].values() for one in side}:
        yield _("Part of the release %(name)s") % {"name": release}


def _answer(answer: Fact) -> str:
    if answer["ended"] == FinishReason.BLOCKED:
        return _("(withheld by a rule of this site)")
    if answer["text"] is not None:
        return str(answer["text"])
    return _("(failed)") if answer["state"] == ReplyState.FAILED else _("(being written)")


def _decided(fact: Fact) -> str:
    if not fact["decision"]:
        return _("Nobody has decided on it yet.")
    said = _("Decided on %(moment)s: %(decision)s")
    return said % {"moment": _when(fact["decided_at"]), "decision": Decision(fact["decision"]).label}


def _when(moment: datetime) -> str:
    return date_format(moment, "DATETIME_FORMAT") + " UTC"


def _block(lines: list[str]) -> str:
    return "\n".join(line for line in lines if line) + "\n\n"


WRITERS: dict[str, Callable[[Fact], str]] = {
    "consents": consents,
    "bans": bans,
    "reports": reports,
    "blocked_prompts": blocked_prompts,
    "battles": battles,
}
