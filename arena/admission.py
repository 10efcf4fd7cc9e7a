"""What stands between a prompt and the models: switches, limits, the person's own backlog, and the prompt gate."""

from django.conf import settings
from django.utils.translation import gettext as _

from arena import limits
from arena.errors import Refused
from arena.models import GateBlock, SiteConfig, Turn, Visitor
from arena.models.battles import TurnState
from arena.moderation import gate


def not_paused() -> None:
    config = SiteConfig.current()
    if config.battles_paused:
        raise Refused(503, "paused", config.pause_message or _("Battles are paused. Please come back later."))


def admit_prompt(visitor: Visitor, prompt: str, group: str) -> str:
    """The cleaned prompt, or Refused.

    400 empty or unreadable, 413 too long, 429 too fast, 422 blocked by policy, 503 limits or gate out of order.
    Cheap checks come first; a prompt that is refused here has touched no model and no battle.
    """
    prompt = gate.clean_prompt(prompt)
    if not prompt.strip():
        raise Refused(400, "empty", _("Please write something first."))
    if len(prompt) > settings.PROMPT_MAX_CHARS:
        raise Refused(
            413,
            "too_long",
            _("Your text has %(length)d characters; the limit is %(limit)d.")
            % {"length": len(prompt), "limit": settings.PROMPT_MAX_CHARS},
        )
    limits.charge(visitor.id, group)
    within_backlog(visitor)
    _past_gate(visitor, prompt)
    return prompt


def within_backlog(visitor: Visitor) -> None:
    """Bounds what one person may have open at once, so that no queue in front of the scheduler hides a backlog."""
    if Turn.objects.filter(visitor=visitor).exclude(state=TurnState.DONE).count() >= settings.OPEN_TURNS_PER_VISITOR:
        raise Refused(
            429,
            "backlog",
            _("You have several battles waiting for answers. Please let one finish first."),
            retry_after=settings.SSE_KEEPALIVE_S,
        )


def _past_gate(visitor: Visitor, prompt: str) -> None:
    verdict = gate.check_prompt(prompt)
    if verdict.allowed:
        return
    if verdict.category == gate.UNAVAILABLE:
        raise Refused(503, "gate_unavailable", verdict.message, retry_after=gate.RETRY_WHEN_BROKEN_S)
    block = GateBlock.objects.create(
        visitor=visitor, policy=verdict.policy, category=verdict.category, rule=verdict.rule, prompt=prompt
    )
    raise Refused(
        422,
        "blocked",
        verdict.message or _("This prompt was not sent to any model: it matches a rule of this site."),
        block=block.id,
        category=verdict.category,
        help_lines=verdict.help_lines,
    )
