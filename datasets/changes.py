"""What happened to the conversations of a release while its files were written: deletions, withdrawals, verdicts, codenames.

The gate reads battle by battle, and minutes may pass until the release is published. `taken_back` finds the conversations of a
release about which anything was said since, by queries over the whole set, and asks the gate about their battles again.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from arena import clock
from arena.models import Consent, Enrichment, ModerationRecord, Report, VoteEvent
from arena.models.battles import BattleState
from arena.moderation import enrichment, verdicts
from datasets import gate
from datasets.models import Release, ReleasedConversation
from datasets.reasons import ADMITTED, Drop

SLACK = timedelta(
    minutes=5
)  # rows carry the time at which they were made; they are seen when their transaction commits
BATTLE = ("conversation__battle_as_a", "conversation__battle_as_b")  # a conversation is one side of one battle


def taken_back(release: Release, since: datetime) -> dict[str, str]:
    """Public ids that the gate would no longer let out, with the reason. `since` is when the gate was first asked."""
    return _asked_again(release, _by_persons(since - SLACK) | _by_others(since - SLACK))


def taken_back_by_persons(release: Release, since: datetime) -> dict[str, str]:
    """The same, asking only for what a person can do: delete, and withdraw. Quick enough to be asked under a lock."""
    return _asked_again(release, _by_persons(since - SLACK))


def _by_persons(since: datetime) -> Q:
    said_no = Consent.objects.filter(visitor=OuterRef("conversation__visitor"), publish=False, created_at__gte=since)
    return Q(conversation__erased_at__isnull=False) | Q(conversation__visitor__isnull=True) | Q(Exists(said_no))


def _by_others(since: datetime) -> Q:
    """Moderators, operators, the back-fill: rows written since that can take back, and what carries no time, as it stands now."""
    here = OuterRef("conversation")
    looks = ModerationRecord.objects.exclude(standing__in=verdicts.EXPORTABLE)
    finds = Enrichment.objects.exclude(version=enrichment.VERSION, pii=[])
    new = [
        looks.filter(message__conversation=here, created_at__gte=since),
        Report.objects.filter(reply__message__conversation=here, created_at__gte=since),
        finds.filter(message__conversation=here, created_at__gte=since),
        *(VoteEvent.objects.filter(vote__battle=OuterRef(path), created_at__gte=since) for path in BATTLE),
    ]
    found = Q(conversation__revision__contestant__anonymous_until__gt=clock.now().date())
    for rows in new:
        found |= Q(Exists(rows))
    for path in BATTLE:
        found |= Q(**{f"{path}__state": BattleState.VOID})
    return found


def _asked_again(release: Release, doubtful: Q) -> dict[str, str]:
    """Both conversations of each doubtful battle, if the gate no longer admits it."""
    released = ReleasedConversation.objects.filter(release=release)
    battles = {pk for pair in released.filter(doubtful).values_list(*BATTLE) for pk in pair if pk}
    reasons = _reasons(sorted(battles))
    found = released.filter(Q(**{f"{BATTLE[0]}__in": reasons}) | Q(**{f"{BATTLE[1]}__in": reasons}))
    return {name: reasons[a or b] for name, a, b in found.values_list("public_id", *BATTLE)}


def _reasons(battle_ids: list[UUID]) -> dict[UUID, str]:
    """Why battles must stay in; a battle that is no more has been deleted with its conversations."""
    reasons = {pk: str(Drop.ERASED) for pk in battle_ids}
    for start in range(0, len(battle_ids), gate.BATCH_MOST):
        for decision in gate.admit(battle_ids[start : start + gate.BATCH_MOST]):
            reasons[decision.battle_id] = decision.reason
    return {pk: reason for pk, reason in reasons.items() if reason != ADMITTED}
