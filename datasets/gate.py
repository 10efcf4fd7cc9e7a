"""The one gate through which conversations leave the site in bulk. It fails closed.

`admit` asks every rule of `datasets/rules.py`, in that order, of a bounded batch of battles; the first one that objects gives the
reason. A battle leaves whole or not at all: both of its conversations, or neither. Texts leave this module only inside an
admitted decision, so whatever is published or previewed has passed here. A rule that cannot be asked (a broken policy file, a
database that is away) raises, and then nothing leaves.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from arena.models import Battle, Consent, Enrichment, Message, ModerationRecord, Reply, Report, Side, Turn, VoteEvent
from arena.models.moderation import Standing
from arena.models.votes import EventKind
from arena.moderation import verdicts
from datasets.reasons import ADMITTED
from datasets.rules import BEFORE_TEXT, ON_TEXT, Case, first_objection

BATCH_MOST = 500  # battles per call: what one batch may hold in memory


@dataclass(frozen=True, slots=True)
class Said:
    """One message that may leave. `look` is the newest verdict of a backend on this text, `passed_by` whose word decided."""

    role: str
    text: str
    language: str
    look: ModerationRecord | None
    passed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaving:
    """One admitted conversation: its key, the model's public name, and what was said, in order."""

    conversation_id: UUID
    model: str
    messages: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of both conversations of a battle: ADMITTED with the two, or a value of Drop with none."""

    battle_id: UUID
    reason: str
    conversations: tuple[Leaving, ...] = ()


def admit(battle_ids: Sequence[UUID]) -> list[Decision]:
    """Decide on at most BATCH_MOST battles, in the order given; ids without a battle are left out.

    Raises ValueError for a larger batch, and whatever a rule that cannot be asked raises (PolicyError, DatabaseError).
    """
    if len(battle_ids) > BATCH_MOST:
        raise ValueError(f"the gate takes at most {BATCH_MOST} battles at once")
    cases = _battles(battle_ids)
    reasons = {pk: first_objection(BEFORE_TEXT, case) for pk, case in cases.items()}
    open_cases = [case for pk, case in cases.items() if reasons[pk] == ADMITTED]
    _read_texts(open_cases)
    reasons |= {case.battle.pk: first_objection(ON_TEXT, case) for case in open_cases}
    return [
        Decision(pk, reasons[pk], _leaving(cases[pk]) if reasons[pk] == ADMITTED else ())
        for pk in battle_ids
        if pk in cases
    ]


# --- Reading ----------------------------------------------------------------------------------------------------------


def _battles(battle_ids: Sequence[UUID]) -> dict[UUID, Case]:
    """The battles with everything but texts."""
    related = ("consent", "conversation_a", "conversation_b", "revision_a__contestant", "revision_b__contestant")
    policy = verdicts.current_policy()
    found = Battle.objects.filter(pk__in=battle_ids).select_related(*related)
    cases = {battle.pk: Case(battle, policy) for battle in found}
    for turn in Turn.objects.filter(battle__in=list(cases)).order_by("number"):
        cases[turn.battle_id].turns.append(turn)
    for reply in Reply.objects.filter(turn__battle__in=list(cases)).select_related("turn").order_by("turn__number"):
        cases[reply.turn.battle_id].replies.append(reply)
    _read_exclusions(cases)
    undecided = Report.objects.filter(decision="", reply__turn__battle__in=list(cases))
    for pk in undecided.values_list("reply__turn__battle", flat=True):
        cases[pk].reported = True
    _read_consents(cases.values())
    return cases


def _read_exclusions(cases: dict[UUID, Case]) -> None:
    """A void is final; of flags, and flags taken back, the latest counts."""
    kinds = [EventKind.VOID, EventKind.FLAG, EventKind.UNFLAG]
    events = VoteEvent.objects.filter(kind__in=kinds, vote__battle__in=list(cases)).order_by("created_at", "id")
    void = set()
    for pk, kind in events.values_list("vote__battle", "kind"):
        void |= {pk} if kind == EventKind.VOID else set()
        cases[pk].vote_taken_out = pk in void or kind == EventKind.FLAG


def _read_consents(cases: Iterable[Case]) -> None:
    of_visitor: dict[Any, list[Case]] = defaultdict(list)
    for case in cases:
        of_visitor[case.battle.visitor_id].append(case)
    for consent in Consent.objects.filter(visitor__in=[pk for pk in of_visitor if pk]):
        for case in of_visitor[consent.visitor_id]:
            case.consents.append(consent)


def _read_texts(cases: list[Case]) -> None:
    """Messages of both sides, their records and enrichments."""
    at = {case.battle.conversation_id(side): case for case in cases for side in Side}
    of_message: dict[UUID, Case] = {}
    texts = Message.objects.filter(conversation__in=list(at)).defer("html").order_by("conversation_id", "position")
    for message in texts:
        case = of_message[message.pk] = at[message.conversation_id]
        case.messages[message.conversation_id].append(message)
    for record in ModerationRecord.objects.filter(message__in=list(of_message)):
        of_message[record.message_id].records[record.message_id].append(record)
    for one in Enrichment.objects.filter(message__in=list(of_message)):
        of_message[one.pk].enrichments[one.pk] = one
    for case in cases:
        for message in case.said:
            case.standings[message.pk] = verdicts.effective(message.text, case.records[message.pk], case.policy)


# --- What leaves ------------------------------------------------------------------------------------------------------


def _leaving(case: Case) -> tuple[Leaving, ...]:
    battle = case.battle
    return tuple(
        Leaving(
            conversation_id=battle.conversation_id(side),
            model=battle.revision(side).contestant.display_name,
            messages=tuple(_said(case, message) for message in case.messages[battle.conversation_id(side)]),
        )
        for side in Side
    )


def _said(case: Case, message: Message) -> Said:
    digest = verdicts.text_sha256(message.text)
    valid = [r for r in case.records[message.pk] if r.text_sha256 == digest and r.policy == case.policy]
    by_machine = [r for r in valid if r.backend not in (verdicts.HUMAN, verdicts.RULES)]
    looks = [record for record in by_machine if record.standing in (Standing.PASSED, Standing.FLAGGED)]
    human = case.standings[message.pk] == Standing.HUMAN_PASSED
    names = {f"{r.backend} {r.backend_version}".strip() for r in by_machine if r.standing == Standing.PASSED}
    return Said(
        role=message.role,
        text=message.text,
        language=case.enrichments[message.pk].language_name,
        look=max(looks, key=lambda record: (record.created_at, record.id), default=None),
        passed_by=(verdicts.HUMAN,) if human else tuple(sorted(names)),
    )
