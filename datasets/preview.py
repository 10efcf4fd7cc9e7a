"""The first rows of a release as its page shows them: through the gate at every view, so that what is taken back is gone."""

from typing import Any

from arena.moderation.policy import PolicyError
from datasets import gate
from datasets.models import Release, ReleasedConversation
from datasets.rows import row

ROWS, MESSAGES, CHARS = 3, 4, 400


def first_rows(release: Release) -> list[dict[str, Any]]:
    """Up to ROWS rows, cut to MESSAGES messages of CHARS characters, without conversations that the gate would keep in now."""
    found = ReleasedConversation.objects.filter(release=release).order_by("public_id")
    at = ("conversation_id", "conversation__battle_as_a", "conversation__battle_as_b")
    wanted = {conversation: a or b for conversation, a, b in found.values_list(*at)[:ROWS]}
    try:
        decisions = gate.admit(sorted(set(filter(None, wanted.values()))))
    except (OSError, PolicyError):
        return []
    leaving = {one.conversation_id: one for decision in decisions for one in decision.conversations}
    return [_cut(row(leaving[pk])) for pk in wanted if pk in leaving]


def _cut(full: dict[str, Any]) -> dict[str, Any]:
    said = [
        {"role": one["role"], "content": one["content"][:CHARS], "cut": len(one["content"]) > CHARS}
        for one in full["conversation"][:MESSAGES]
    ]
    return full | {"conversation": said, "more": len(full["conversation"]) - len(said)}
