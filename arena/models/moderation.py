"""What was refused, what people complained about, and what is known of each message before it may leave the site."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from arena.models.battles import Reply
from arena.models.conversations import Message
from arena.models.visitors import Visitor


class Decision(models.TextChoices):
    """What a moderator made of a complaint; empty while nobody has."""

    UPHELD = "upheld", _("acted on")
    DISMISSED = "dismissed", _("no action")


class ReportQuerySet(models.QuerySet["Report"]):
    def open(self) -> "ReportQuerySet":
        """What nobody has decided yet, oldest first."""
        return self.filter(decision="").order_by("created_at", "id")

    def of(self, visitor: Visitor) -> "ReportQuerySet":
        """What a person reported, newest first, with what became of it."""
        return self.filter(visitor=visitor).order_by("-created_at")


class AppealQuerySet(models.QuerySet["Appeal"]):
    def open(self) -> "AppealQuerySet":
        """What nobody has decided yet, oldest first."""
        return self.filter(decision="").order_by("created_at", "id")

    def of(self, visitor: Visitor) -> "AppealQuerySet":
        """A person's appeals, newest first: `decision` and `note` are what a moderator answered."""
        return self.filter(block__visitor=visitor).select_related("block").order_by("-created_at")


class Complaint(models.Model):
    """What a report and an appeal share: a person waits for a moderator's decision."""

    decision = models.CharField(max_length=9, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(max_length=1000, blank=True, help_text=_("The moderator's reason."))

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(decision="", decided_at__isnull=True) | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="%(class)s_decided_has_time",
            ),
        ]


class GateBlock(models.Model):
    """A prompt that never reached a model, kept for its appeal."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="+")
    policy = models.CharField(max_length=20, help_text=_("Version of the policy that decided."))
    category = models.CharField(max_length=40)
    rule = models.CharField(max_length=80)
    prompt = models.TextField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("gate block")
        verbose_name_plural = _("gate blocks")

    def __str__(self) -> str:
        return f"{self.category}: {self.rule}"


class Appeal(Complaint):
    """A person says that a block was wrong."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    block = models.OneToOneField(GateBlock, models.CASCADE, related_name="appeal")
    text = models.TextField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)

    objects = AppealQuerySet.as_manager()

    class Meta(Complaint.Meta):
        verbose_name = _("appeal")
        verbose_name_plural = _("appeals")
        indexes = [models.Index(fields=["created_at"], condition=Q(decision=""), name="appeal_open")]

    def __str__(self) -> str:
        return f"appeal against {self.block}"


class ReportReason(models.TextChoices):
    HARMFUL = "harmful", _("harmful or illegal")
    PERSONAL = "personal", _("personal data")
    BROKEN = "broken", _("broken or empty")
    OTHER = "other", _("something else")


class Report(Complaint):
    """A person reports an answer; one report per person and answer."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reply = models.ForeignKey(Reply, models.CASCADE, related_name="reports")
    visitor = models.ForeignKey(Visitor, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=8, choices=ReportReason.choices)
    text = models.TextField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)

    objects = ReportQuerySet.as_manager()

    class Meta(Complaint.Meta):
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        indexes = [models.Index(fields=["created_at"], condition=Q(decision=""), name="report_open")]
        constraints = [
            *Complaint.Meta.constraints,
            models.UniqueConstraint(fields=["reply", "visitor"], name="report_once"),
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.reply}"


class Standing(models.TextChoices):
    """What one record says of a message. Only PASSED and HUMAN_PASSED let a message leave the site."""

    PENDING = "pending", _("nobody who may pass it has looked")
    PASSED = "passed", _("passed by a backend")
    FLAGGED = "flagged", _("flagged")
    ERROR = "error", _("the backend failed")
    HUMAN_PASSED = "human_passed", _("passed by a moderator")
    HUMAN_BLOCKED = "human_blocked", _("blocked by a moderator")


class ModerationRecord(models.Model):
    """One look of one backend (or person) at one message. Append-only: a newer look is a new row."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, models.CASCADE, related_name="moderation")
    text_sha256 = models.CharField(max_length=64, help_text=_("Of the text that was looked at."))
    backend = models.CharField(max_length=40, help_text=_("rules, human, or the name of a backend."))
    backend_version = models.CharField(max_length=80, blank=True)
    policy = models.CharField(max_length=20, help_text=_("Version of the policy that was in force."))
    standing = models.CharField(max_length=13, choices=Standing.choices)
    categories = models.JSONField(default=list, blank=True, help_text=_("Names of the categories that were flagged."))
    scores = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=40, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.TextField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("moderation record")
        verbose_name_plural = _("moderation records")
        indexes = [models.Index(fields=["message", "-created_at"])]
        permissions = [("moderate", "Can decide reports, appeals and conversations")]

    def __str__(self) -> str:
        return f"{self.backend}: {self.standing}"


class Enrichment(models.Model):
    """What detectors found in one message, once, with the version that found it. Never the text itself."""

    message = models.OneToOneField(Message, models.CASCADE, primary_key=True, related_name="enrichment")
    version = models.CharField(max_length=20, help_text=_("Of the detectors; a newer version is computed again."))
    text_sha256 = models.CharField(max_length=64)
    language = models.CharField(max_length=16, help_text=_("ISO 639 code, `und` when unknown."))
    language_name = models.CharField(max_length=40, help_text=_("English name, `unknown` when unknown."))
    language_confidence = models.FloatField()
    chars = models.PositiveIntegerField()
    words = models.PositiveIntegerField()
    headers = models.PositiveIntegerField(help_text=_("Markdown headings outside fenced code."))
    lists = models.PositiveIntegerField(help_text=_("List items outside fenced code."))
    bold = models.PositiveIntegerField(help_text=_("Bold spans outside fenced code."))
    fences = models.PositiveIntegerField(default=0, help_text=_("Blocks of fenced code."))
    fingerprint = models.CharField(max_length=64, help_text=_("SHA-256 of the folded words: exact duplicates."))
    simhash = models.BigIntegerField(help_text=_("64 bits, signed: near duplicates."))
    pii = models.JSONField(default=list, blank=True, help_text=_("Spans: [type, start, end] in code points."))
    created_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("enrichment")
        verbose_name_plural = _("enrichments")
        indexes = [models.Index(fields=["fingerprint"]), models.Index(fields=["version"])]

    def __str__(self) -> str:
        return f"{self.language}, {self.chars} characters"
