"""What was refused and what people complained about."""

from django.db import models

from arena.clock import now
from arena.ids import uuid7
from arena.models.battles import Reply
from arena.models.visitors import Visitor


class GateBlock(models.Model):
    """A prompt that never reached a model, kept for its appeal."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="+")
    policy = models.CharField(max_length=20, help_text="Version of the policy that decided.")
    category = models.CharField(max_length=40)
    rule = models.CharField(max_length=80)
    prompt = models.TextField()
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.category}: {self.rule}"


class Appeal(models.Model):
    """A person says that a block was wrong."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    block = models.OneToOneField(GateBlock, models.CASCADE, related_name="appeal")
    text = models.TextField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"appeal against {self.block}"


class ReportReason(models.TextChoices):
    HARMFUL = "harmful", "harmful or illegal"
    PERSONAL = "personal", "personal data"
    BROKEN = "broken", "broken or empty"
    OTHER = "other", "something else"


class Report(models.Model):
    """A person reports an answer; one report per person and answer."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reply = models.ForeignKey(Reply, models.CASCADE, related_name="reports")
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=8, choices=ReportReason.choices)
    text = models.TextField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reply", "visitor"], name="report_once")]

    def __str__(self) -> str:
        return f"{self.reason}: {self.reply}"
