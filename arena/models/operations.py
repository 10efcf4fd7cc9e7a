"""What operators leave behind: the audit trail, and jobs with their progress."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7


class AuditEntry(models.Model):
    """One write of a member of staff: who, what, before and after. A trigger refuses every change of a row."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    actor_name = models.CharField(max_length=150, help_text=_("As it was; the account may be gone."))
    action = models.CharField(max_length=40, help_text=_("change, add, delete, or a verb such as ban or void."))
    kind = models.CharField(max_length=80, help_text=_("The table, as app.model."))
    subject = models.CharField(max_length=64, help_text=_("Primary key of the row."))
    title = models.CharField(max_length=200)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("audit entry")
        ordering = ["-created_at", "-id"]
        verbose_name_plural = _("audit entries")
        indexes = [models.Index(fields=["kind", "subject"]), models.Index(fields=["-created_at"])]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.title}"


class JobState(models.TextChoices):
    QUEUED = "queued", _("waiting for a worker")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class Job(models.Model):
    """A long piece of work with progress that people can watch. Written by `arena/jobs.py` only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=40)
    arguments = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=7, choices=JobState.choices, default=JobState.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True)
    message = models.CharField(max_length=300, blank=True, help_text=_("Where it is, or why it failed; for operators."))
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True, blank=True)
    beat_at = models.DateTimeField(null=True, blank=True, help_text=_("Last sign of life."))
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state"], condition=Q(state__in=["queued", "running"]), name="job_open")]
        permissions = [("view_ops", "Can see the operators' page and metrics")]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"
