"""A battle, its turns and the two replies of each turn. Written by `arena/battles.py` and `arena/turns.py` only."""

from uuid import UUID

from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid4, uuid7
from arena.models.contestants import ContestantRevision
from arena.models.conversations import Conversation, Message
from arena.models.visitors import Consent, Visitor


class Side(models.TextChoices):
    A = "a", "A"
    B = "b", "B"


class Origin(models.TextChoices):
    """Where a battle or a vote event comes from; fits never mix origins. Imports use `import:<name>`."""

    LIVE = "live", _("live")
    DEMO = "demo", _("demo")


class BattleState(models.TextChoices):
    STREAMING = "streaming", _("answers are being written")
    FAILED = "failed", _("a side failed; it can be retried")
    READY = "ready", _("ready to vote")
    VOTED = "voted", _("voted and revealed")
    VOID = "void", _("void")


class VoidReason(models.TextChoices):
    ERROR = "error", _("a model failed")
    MODERATED = "moderated", _("moderated")
    TIMEOUT = "timeout", _("timed out")
    ABANDONED = "abandoned", _("expired without a vote")
    FLAGGED = "flagged", _("flagged")
    ERASED = "erased", _("deleted by its person")


class BattleQuerySet(models.QuerySet["Battle"]):
    def history(self, visitor: Visitor | None) -> "BattleQuerySet":
        """The visitor's battles, newest first, with `first_prompt`; battles that were replaced are left out."""
        prompts = Turn.objects.filter(battle=OuterRef("pk"), number=1).values("prompt__text")[:1]
        mine = self.filter(visitor=visitor, visitor__isnull=False, successor__isnull=True)
        related = ("revision_a__contestant", "revision_b__contestant", "vote")
        return mine.select_related(*related).annotate(first_prompt=Subquery(prompts)).order_by("-created_at")


class Battle(models.Model):
    """Two anonymous contestants, one person, one vote at most."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="battles")
    consent = models.ForeignKey(Consent, models.SET_NULL, null=True, blank=True, related_name="+")
    origin = models.CharField(max_length=60, default=Origin.LIVE)
    state = models.CharField(max_length=9, choices=BattleState.choices, default=BattleState.STREAMING)
    void_reason = models.CharField(max_length=9, choices=VoidReason.choices, blank=True)
    conversation_a = models.OneToOneField(Conversation, models.PROTECT, related_name="battle_as_a")
    conversation_b = models.OneToOneField(Conversation, models.PROTECT, related_name="battle_as_b")
    revision_a = models.ForeignKey(ContestantRevision, models.PROTECT, related_name="+")
    revision_b = models.ForeignKey(ContestantRevision, models.PROTECT, related_name="+")
    probability = models.FloatField(help_text=_("Of this unordered pair, at the moment it was drawn."))
    sampler = models.CharField(max_length=40)
    successor = models.OneToOneField("self", models.SET_NULL, null=True, blank=True, related_name="predecessor")
    share_token = models.CharField(max_length=43, unique=True, null=True, blank=True)
    created_at = models.DateTimeField(default=now)
    ready_at = models.DateTimeField(null=True, blank=True)
    voted_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = BattleQuerySet.as_manager()

    class Meta:
        verbose_name = _("battle")
        verbose_name_plural = _("battles")
        indexes = [
            models.Index(fields=["visitor", "-created_at"]),
            models.Index(fields=["-created_at"]),
            models.Index(fields=["expires_at"], condition=Q(state__in=["ready", "failed"]), name="battle_expiring"),
        ]
        permissions = [("void_battle", "Can take battles and votes out of the ranking")]
        constraints = [
            models.CheckConstraint(condition=~Q(revision_a=F("revision_b")), name="battle_pair_distinct"),
            models.CheckConstraint(
                condition=~Q(conversation_a=F("conversation_b")), name="battle_conversations_distinct"
            ),
            models.CheckConstraint(condition=Q(probability__gt=0, probability__lte=1), name="battle_probability"),
            models.CheckConstraint(
                condition=(Q(state="void") & ~Q(void_reason="")) | (~Q(state="void") & Q(void_reason="")),
                name="battle_void_has_reason",
            ),
            models.CheckConstraint(
                condition=(Q(state="voted", voted_at__isnull=False)) | (~Q(state="voted")),
                name="battle_voted_has_time",
            ),
            models.CheckConstraint(
                condition=Q(share_token__isnull=True) | Q(voted_at__isnull=False), name="battle_shared_only_after_vote"
            ),
        ]

    def __str__(self) -> str:
        return f"battle {str(self.id)[:8]} ({self.state})"

    def conversation(self, side: str) -> Conversation:
        return self.conversation_a if side == Side.A else self.conversation_b

    def conversation_id(self, side: str) -> UUID:
        """Like `conversation`, without reading the row."""
        return self.conversation_a_id if side == Side.A else self.conversation_b_id

    def revision(self, side: str) -> ContestantRevision:
        return self.revision_a if side == Side.A else self.revision_b

    @property
    def revealed(self) -> bool:
        """The names have left the server (they do so first in the vote's own response)."""
        return self.voted_at is not None


class TurnState(models.TextChoices):
    QUEUED = "queued", _("waiting for a worker")
    RUNNING = "running", _("a worker holds the lease")
    DONE = "done", _("both replies are final")


class Turn(models.Model):
    """One prompt to both sides. The row's lease, not the broker, makes its generation durable."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    battle = models.ForeignKey(Battle, models.CASCADE, related_name="turns")
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="+")
    number = models.PositiveIntegerField()
    prompt = models.ForeignKey(
        Message, models.PROTECT, related_name="+", help_text=_("The prompt, as side A was told it.")
    )
    key = models.UUIDField(_("idempotency key"), help_text=_("Made by the browser; a repeated send is the same turn."))
    post_reveal = models.BooleanField(default=False)
    state = models.CharField(max_length=7, choices=TurnState.choices, default=TurnState.QUEUED)
    claims = models.PositiveSmallIntegerField(default=0, help_text=_("How often a worker took the turn."))
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    group = models.CharField(
        max_length=64, blank=True, help_text=_("Keyed hash of the IP prefix, behind its key's tag.")
    )
    stop_a = models.BooleanField(default=False, help_text=_("The person pressed stop for A."))
    stop_b = models.BooleanField(default=False, help_text=_("The person pressed stop for B."))
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        ordering = ["number"]
        indexes = [
            models.Index(fields=["lease_until"], condition=~Q(state="done"), name="turn_open"),
            models.Index(fields=["id"], condition=~Q(group=""), name="turn_with_group"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["battle", "number"], name="turn_number_once"),
            models.UniqueConstraint(fields=["visitor", "key"], name="turn_key_once"),
            models.UniqueConstraint(fields=["battle"], condition=~Q(state="done"), name="one_open_turn_per_battle"),
            models.CheckConstraint(
                condition=~Q(state="running") | (~Q(lease_owner="") & Q(lease_until__isnull=False)),
                name="turn_running_has_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"turn {self.number} of {self.battle_id}"


class ReplyState(models.TextChoices):
    WAITING = "waiting", _("not started")
    RUNNING = "running", _("being written")
    DONE = "done", _("final")
    FAILED = "failed", _("failed without text")


class FinishReason(models.TextChoices):
    STOP = "stop", _("the model ended")
    LENGTH = "length", _("length limit")
    STOPPED = "stopped", _("stopped by the person")
    EARLY = "early", _("the stream broke after visible text")
    BLOCKED = "blocked", _("cut by a moderation rule")


class Reply(models.Model):
    """One side of a turn. A final reply points at the assistant message that holds its text."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    turn = models.ForeignKey(Turn, models.CASCADE, related_name="replies")
    side = models.CharField(max_length=1, choices=Side.choices)
    seed = models.BigIntegerField(help_text=_("Every attempt samples with the same seed."))
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=7, choices=ReplyState.choices, default=ReplyState.WAITING)
    finish_reason = models.CharField(max_length=7, choices=FinishReason.choices, blank=True)
    error = models.CharField(
        max_length=40, blank=True, help_text=_("Our code for what went wrong; never a provider's words.")
    )
    message = models.OneToOneField(Message, models.PROTECT, null=True, blank=True, related_name="reply")
    deployment = models.ForeignKey("inference.Deployment", models.SET_NULL, null=True, blank=True, related_name="+")
    tokens_in = models.PositiveIntegerField(null=True, blank=True)
    tokens_out = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    first_token_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("reply")
        ordering = ["side"]
        verbose_name_plural = _("replies")
        indexes = [
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="reply_finished"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["turn", "side"], name="reply_side_once"),
            models.CheckConstraint(
                condition=(Q(state="done", message__isnull=False) & ~Q(finish_reason=""))
                | (~Q(state="done") & Q(message__isnull=True, finish_reason="")),
                name="reply_done_has_message",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} of {self.turn_id} ({self.state})"
