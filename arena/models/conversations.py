"""A conversation stands alone: a battle has two, an exam item or a simulated agent has one."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from arena.models.contestants import ContestantRevision
from arena.models.visitors import Visitor


class Role(models.TextChoices):
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")


class Verdict(models.TextChoices):
    """Summary of what is known of all messages of a conversation; `arena/moderation/verdicts.py` keeps it."""

    PENDING = "pending", _("waits for a verdict")
    PASSED = "passed", _("passed")
    FLAGGED = "flagged", _("flagged")
    BLOCKED = "blocked", _("blocked by a moderator")


class Conversation(models.Model):
    """Messages between a person (or a job) and one revision of one contestant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="conversations")
    revision = models.ForeignKey(ContestantRevision, models.PROTECT, related_name="conversations")
    verdict = models.CharField(max_length=7, choices=Verdict.choices, default=Verdict.PENDING)
    verdict_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True, help_text=_("Its person had it deleted: no text is left."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        indexes = [
            models.Index(
                fields=["verdict", "created_at"], condition=Q(erased_at__isnull=True), name="conversation_verdict"
            )
        ]

    def __str__(self) -> str:
        return f"conversation {str(self.id)[:8]}"


class Message(models.Model):
    """One utterance: the only stored copy of its text."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=9, choices=Role.choices)
    text = models.TextField()
    html = models.TextField(blank=True, help_text=_("Rendered and sanitised once, when written; derived from text."))
    post_reveal = models.BooleanField(default=False, help_text=_("Said after the names were known; never ranked."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["conversation", "position"], name="message_position_once")]

    def __str__(self) -> str:
        return f"{self.role} message {self.position}"  # no text: names end up in trails, logs and lists
