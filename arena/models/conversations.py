"""A conversation stands alone: a battle has two, an exam item or a simulated agent has one."""

from django.db import models

from arena.clock import now
from arena.ids import uuid7
from arena.models.contestants import ContestantRevision
from arena.models.visitors import Visitor


class Role(models.TextChoices):
    USER = "user", "user"
    ASSISTANT = "assistant", "assistant"


class Conversation(models.Model):
    """Messages between a person (or a job) and one revision of one contestant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="conversations")
    revision = models.ForeignKey(ContestantRevision, models.PROTECT, related_name="conversations")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"conversation {str(self.id)[:8]}"


class Message(models.Model):
    """One utterance: the only stored copy of its text."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=9, choices=Role.choices)
    text = models.TextField()
    html = models.TextField(blank=True, help_text="Rendered and sanitised once, when written; derived from text.")
    post_reveal = models.BooleanField(default=False, help_text="Said after the names were known; never ranked.")
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["conversation", "position"], name="message_position_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:40]}"
