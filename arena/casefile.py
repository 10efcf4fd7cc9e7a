"""A battle as staff read it: both sides turn by turn, with what is known of every message. One of the named readers of text.

Shown by the moderation desk (permission `arena.moderate`) and the battle page of the admin (text with `arena.view_message` only).
Whoever may not read gets the same page without a single character of it. Queries do not grow with the number of turns.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from arena.models import Battle, Enrichment, Message, ModerationRecord, Reply, Report, Side, Turn
from arena.models.moderation import Standing
from arena.moderation import verdicts
from arena.moderation.policy import PolicyError

NOTHING = SafeString("")
UNKNOWN = "unknown"  # the rule file is broken, so no standing can be told


@dataclass(frozen=True)
class Said:
    """One message. `text` is escaped, with personal data marked; "" for who may not read."""

    standing: str
    text: SafeString = NOTHING
    chars: int = 0
    language: str = ""
    personal: tuple[str, ...] = ()  # kinds of personal data that were found
    categories: tuple[str, ...] = ()
    looks: tuple[ModerationRecord, ...] = ()  # newest first

    @property
    def standing_words(self) -> str:
        return standing_words(self.standing)

    @property
    def bad(self) -> bool:
        return self.standing in verdicts.BAD

    @property
    def passed(self) -> bool:
        return self.standing in verdicts.EXPORTABLE


@dataclass(frozen=True)
class Answer:
    """One side of a turn."""

    reply: Reply
    said: Said | None
    reports: list[Report]

    @property
    def first_token_s(self) -> float | None:
        return _seconds(self.reply.started_at, self.reply.first_token_at)

    @property
    def total_s(self) -> float | None:
        return _seconds(self.reply.started_at, self.reply.finished_at)


@dataclass(frozen=True)
class Exchange:
    """A prompt and its answers. `prompts` has one entry, or two where what is known of the two copies differs."""

    turn: Turn
    prompts: list[Said]
    answers: list[Answer]


@dataclass
class CaseFile:
    """Everything about one battle. `may_read` decides whether any text is in it."""

    battle: Battle
    may_read: bool
    _records: dict[UUID, list[ModerationRecord]] = field(default_factory=lambda: defaultdict(list))
    _found: dict[UUID, Enrichment] = field(default_factory=dict)

    @cached_property
    def policy(self) -> str:
        """The policy in force, "" while its file is broken."""
        try:
            return verdicts.current_policy()
        except (PolicyError, OSError):
            return ""

    @cached_property
    def exchanges(self) -> list[Exchange]:
        battle = self.battle
        sides = [battle.conversation_a_id, battle.conversation_b_id]
        messages = list(Message.objects.filter(conversation__in=sides).defer("html"))
        self._know(messages)
        at = {(message.conversation_id, message.position): message for message in messages}
        reports: dict[UUID, list[Report]] = defaultdict(list)
        for report in Report.objects.filter(reply__turn__battle=battle).select_related("decided_by").order_by("pk"):
            reports[report.reply_id].append(report)
        turns = battle.turns.prefetch_related("replies__deployment__endpoint")
        return [self._exchange(turn, at, reports) for turn in turns]

    def _know(self, messages: Iterable[Message]) -> None:
        ids = [message.pk for message in messages]
        records = ModerationRecord.objects.filter(message__in=ids).select_related("moderator")
        for record in records.order_by("-created_at", "-pk"):
            self._records[record.message_id].append(record)
        self._found = {one.pk: one for one in Enrichment.objects.filter(message__in=ids)}

    def _exchange(self, turn: Turn, at: dict[tuple[UUID, int], Message], reports: dict[UUID, list[Report]]) -> Exchange:
        asked = [at.get((self.battle.conversation_id(side), 2 * (turn.number - 1))) for side in Side.values]
        prompts = [self._said(message) for message in asked if message is not None]
        same = len({(one.standing, one.personal) for one in prompts}) < 2
        answers = []
        for reply in turn.replies.all():
            message = at.get((self.battle.conversation_id(reply.side), 2 * (turn.number - 1) + 1))
            answers.append(Answer(reply, self._said(message) if message else None, reports[reply.pk]))
        return Exchange(turn, prompts[:1] if same else prompts, answers)

    def _said(self, message: Message) -> Said:
        looks, found = self._records[message.pk], self._found.get(message.pk)
        spans = found.pii if found and found.text_sha256 == verdicts.text_sha256(message.text) else []
        return Said(
            standing=verdicts.effective(message.text, looks, self.policy) if self.policy else UNKNOWN,
            text=marked(message.text, spans) if self.may_read else NOTHING,
            chars=len(message.text),
            language=found.language_name if found else "",
            personal=tuple(sorted({str(span[0]) for span in spans})),
            categories=tuple(sorted({name for look in looks for name in look.categories})),
            looks=tuple(looks),
        )


def marked(text: str, spans: Iterable[tuple[str, int, int]]) -> SafeString:
    """The text, escaped, with each [type, start, end] (code points) in a <mark> of its own; overlaps join the first."""
    parts, at = [], 0
    for kind, start, end in sorted(spans, key=lambda span: (span[1], -span[2])):
        if start < at or end > len(text) or start >= end:
            continue
        parts.append((text[at:start], format_html('<mark title="{}">{}</mark>', kind, text[start:end])))
        at = end
    return format_html_join("", "{}{}", parts) + format_html("{}", text[at:])


def standing_words(standing: str) -> str:
    """A message's standing for people."""
    if standing in Standing.values:
        return str(Standing(standing).label)
    return {
        verdicts.MISSING: _("nobody has looked"),
        verdicts.STALE: _("looked at under another policy, or another text"),
        UNKNOWN: _("unknown: the rule file is broken"),
    }[standing]


def _seconds(start: object, end: object) -> float | None:
    return max(0.0, (end - start).total_seconds()) if start and end else None  # type: ignore[operator]
