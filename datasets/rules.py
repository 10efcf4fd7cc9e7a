"""The rules of the gate (`datasets/gate.py`), each a question about one battle that says whether it must stay in.

docs/datasets.md lists them in words. The order is the order of reasons: the first rule that objects is the one that is counted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from arena.models import Battle, Consent, Enrichment, Message, ModerationRecord, Reply, Side, Turn
from arena.models.battles import BattleState, FinishReason, Origin, ReplyState, TurnState, VoidReason
from arena.models.conversations import Role
from arena.models.moderation import Standing
from arena.moderation import enrichment, verdicts
from arena.moderation.gate import UNREADABLE, check_prompt
from datasets.reasons import ADMITTED, Drop

WHOLE = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.EARLY, FinishReason.STOPPED})
MINORS = frozenset({"sexual/minors", "minors"})  # a backend's name for it, and the rule list's


@dataclass(slots=True)
class Case:
    """Everything that the rules ask about one battle; the texts and what is known of them come last."""

    battle: Battle
    policy: str
    consents: list[Consent] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    vote_taken_out: bool = False
    reported: bool = False
    messages: dict[UUID, list[Message]] = field(default_factory=lambda: defaultdict(list))
    records: dict[UUID, list[ModerationRecord]] = field(default_factory=lambda: defaultdict(list))
    enrichments: dict[UUID, Enrichment] = field(default_factory=dict)
    standings: dict[UUID, str] = field(default_factory=dict)

    @property
    def said(self) -> list[Message]:
        return [message for side in Side for message in self.messages[self.battle.conversation_id(side)]]


Rule = tuple[Drop, Callable[[Case], bool]]


def first_objection(rules: Iterable[Rule], case: Case) -> str:
    """The code of the first rule that objects, else ADMITTED."""
    return next((drop.value for drop, objects in rules if objects(case)), ADMITTED)


# --- Rules that need no text ------------------------------------------------------------------------------------------


def _open(case: Case) -> bool:
    ended = case.battle.state in (BattleState.VOTED, BattleState.VOID)
    return not ended or not case.turns or any(turn.state != TurnState.DONE for turn in case.turns)


def _void(case: Case) -> bool:
    return case.battle.state == BattleState.VOID and case.battle.void_reason != VoidReason.ABANDONED


def _no_visitor(case: Case) -> bool:
    battle = case.battle
    owners = {battle.visitor_id, battle.conversation_a.visitor_id, battle.conversation_b.visitor_id}
    return None in owners or len(owners) > 1


def _no_consent(case: Case) -> bool:
    consent = case.battle.consent
    return consent is None or consent.visitor_id != case.battle.visitor_id


def _withdrawn(case: Case) -> bool:
    """A no at or after the consent of the battle. A later yes counts for what is said under it, not for this battle."""
    begun = case.battle.consent
    if begun is None or begun.pk not in {consent.pk for consent in case.consents}:
        return True
    return any(not consent.publish for consent in case.consents if consent.created_at >= begun.created_at)


@lru_cache(maxsize=4096)
def _system_prompt_allowed(text: str, policy: str) -> bool:
    return check_prompt(text).allowed


def _system_prompt(case: Case) -> bool:
    prompts = [case.battle.revision(side).system_prompt for side in Side]
    return not all(_system_prompt_allowed(prompt, case.policy) for prompt in prompts if prompt)


def _unanswered(case: Case) -> bool:
    answered = {(r.turn_id, r.side) for r in case.replies if r.state == ReplyState.DONE and r.message_id}
    return answered != {(turn.pk, side.value) for turn in case.turns for side in Side}


BEFORE_TEXT: tuple[Rule, ...] = (
    (Drop.DEMO, lambda case: case.battle.origin == Origin.DEMO),
    (Drop.IMPORTED, lambda case: case.battle.origin != Origin.LIVE),
    (Drop.ERASED, lambda case: any(case.battle.conversation(side).erased_at for side in Side)),
    (Drop.NO_VISITOR, _no_visitor),
    (Drop.OPEN, _open),
    (Drop.VOID, _void),
    (Drop.NO_CONSENT, _no_consent),
    (Drop.NOT_PUBLISHABLE, lambda case: case.battle.consent is None or not case.battle.consent.publish),
    (Drop.WITHDRAWN, _withdrawn),
    (Drop.VOTE_VOIDED, lambda case: case.vote_taken_out),
    (Drop.CODENAME, lambda case: any(case.battle.revision(side).contestant.anonymous for side in Side)),
    (Drop.SYSTEM_PROMPT, _system_prompt),
    (Drop.INCOMPLETE, _unanswered),
    (Drop.CUT, lambda case: any(reply.finish_reason not in WHOLE for reply in case.replies)),
    (Drop.REPORTED, lambda case: case.reported),
)


# --- Rules on texts ---------------------------------------------------------------------------------------------------


def _misshapen(case: Case) -> bool:
    """Both sides: prompt and answer in turn, once per turn of the battle, each answer being that side's own reply."""
    answers = {side: [r.message_id for r in case.replies if r.side == side] for side in Side}
    for side in Side:
        found = case.messages[case.battle.conversation_id(side)]
        roles = [Role.USER, Role.ASSISTANT] * len(case.turns)
        if [message.position for message in found] != list(range(len(roles))):
            return True
        if [message.role for message in found] != roles or [m.pk for m in found[1::2]] != answers[side]:
            return True
    return False


def _minors(case: Case) -> bool:
    """Whatever text, policy or moderator: such a conversation stays in, until operators have looked outside this gate."""
    return any(MINORS.intersection(record.categories) for found in case.records.values() for record in found)


def _stale(case: Case) -> bool:
    found = [(case.enrichments[message.pk], message) for message in case.said]
    return any(
        one.version != enrichment.VERSION or one.text_sha256 != verdicts.text_sha256(message.text)
        for one, message in found
    )


def _standing(*bad: str) -> Callable[[Case], bool]:
    return lambda case: not set(bad).isdisjoint(case.standings.values())


def _not_passed(case: Case) -> bool:
    return any(case.standings.get(message.pk) not in verdicts.EXPORTABLE for message in case.said)


ON_TEXT: tuple[Rule, ...] = (
    (Drop.INCOMPLETE, _misshapen),
    (Drop.EMPTY, lambda case: any(not message.text.strip() for message in case.said)),
    (Drop.UNREADABLE, lambda case: any(UNREADABLE.search(message.text) for message in case.said)),
    (Drop.MINORS, _minors),
    (Drop.BLOCKED, _standing(Standing.HUMAN_BLOCKED)),
    (Drop.FLAGGED, _standing(Standing.FLAGGED)),
    (Drop.MODERATION_ERROR, _standing(Standing.ERROR)),
    (Drop.MODERATION_STALE, _standing(verdicts.STALE)),
    (Drop.MODERATION_MISSING, _standing(verdicts.MISSING)),
    (Drop.MODERATION_PENDING, _not_passed),
    (Drop.NOT_ENRICHED, lambda case: any(message.pk not in case.enrichments for message in case.said)),
    (Drop.ENRICHED_STALE, _stale),
    (Drop.PERSONAL_DATA, lambda case: any(case.enrichments[message.pk].pii for message in case.said)),
)
