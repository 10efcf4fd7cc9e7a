"""What the gate says of one battle."""

from arena.models import Battle, Message
from datasets import gate
from datasets.reasons import ADMITTED
from tests.datasets import rows


def decide(battle: Battle) -> gate.Decision:
    (decision,) = gate.admit([battle.pk])
    return decision


def reason(battle: Battle) -> str:
    """The gate's reason; whatever it is, no text comes with it unless it is ADMITTED."""
    decision = decide(battle)
    assert bool(decision.conversations) == (decision.reason == ADMITTED)
    return decision.reason


def first(battle: Battle) -> Message:
    return rows.messages(battle)[0]
