"""Live votes with messages to label, and which labels they have."""

from arena import votes
from arena.models import Battle, Message, VoteEvent
from arena.moderation import enrichment
from tests import factories
from tests.factories import outcome

CODE = "Here:\n```python\nprint(1)\n```\n# Title\n- **bold** item"


def voted(prompt: str = "Warum ist der Himmel blau? Erkläre es mir bitte ganz genau, ich verstehe es nicht.") -> Battle:
    """With code in both answers, and a second turn after the vote."""
    battle = factories.finish(factories.started(prompt=prompt), a=outcome(CODE), b=outcome("```\nx\n```"))
    votes.cast_vote(battle.pk, "a", 1)
    return Battle.objects.get(pk=battle.pk)


def enrich() -> None:
    enrichment.enrich(Message.objects.all())


def categories(battle: Battle) -> list[str]:
    return VoteEvent.objects.filter(vote__battle=battle).order_by("created_at", "id").last().categories  # type: ignore[union-attr]


def kinds(battle: Battle) -> list[str]:
    return list(
        VoteEvent.objects.filter(vote__battle=battle).order_by("created_at", "id").values_list("kind", flat=True)
    )
