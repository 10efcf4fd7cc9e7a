"""What a turn costs: handed to `inference.spending` in the commit that stores its answers."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from arena.models import Message, Side, Turn
from inference import spending
from inference.spending import Use


class Ended(Protocol):
    """The part of `turns.Outcome` that costs."""

    text: str
    deployment_id: UUID | None
    tokens_in: int | None
    tokens_out: int | None


def charge(turn: Turn, outcomes: Mapping[Side, Ended]) -> None:
    """Charge each side to the deployment that answered, failed sides too: their prompt was sent.

    Counts that the endpoint did not tell are estimated from the texts and marked so.
    """
    uses = [_use(turn, side, outcome) for side, outcome in outcomes.items() if outcome.deployment_id]
    spending.charge_all(uses)


def _use(turn: Turn, side: Side, outcome: Ended) -> Use:
    assert outcome.deployment_id is not None
    tokens_in, tokens_out = outcome.tokens_in, outcome.tokens_out
    if tokens_in is None:
        tokens_in = spending.estimate(_prompt_bytes(turn, side))
    if tokens_out is None:
        tokens_out = spending.estimate(_bytes(outcome.text))
    told = outcome.tokens_in is not None and outcome.tokens_out is not None
    return Use(outcome.deployment_id, tokens_in, tokens_out, estimated=not told)


def _prompt_bytes(turn: Turn, side: Side) -> int:
    """Everything that this side was told in this turn."""
    battle = turn.battle
    said = Message.objects.filter(
        conversation_id=battle.conversation_id(side), position__lte=2 * (turn.number - 1)
    ).values_list("text", flat=True)
    return _bytes(battle.revision(side).system_prompt) + sum(_bytes(text) for text in said)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
