"""Releases: what has left the site, as files with their digests. Written by `datasets/releases.py` only."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7
from datasets.reasons import Drop


class ReleaseState(models.TextChoices):
    BUILDING = "building", _("being written")
    PUBLISHED = "published", _("published")
    RECALLED = "recalled", _("recalled")
    FAILED = "failed", _("failed")


class ReleaseQuerySet(models.QuerySet["Release"]):
    def listed(self) -> "ReleaseQuerySet":
        """What the public may know of, newest first: published releases, and recalled ones without their files."""
        shown = self.filter(state__in=[ReleaseState.PUBLISHED, ReleaseState.RECALLED])
        return shown.order_by("-published_at").prefetch_related("files")


class Release(models.Model):
    """One dump of conversations that passed the gate on one day."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.SlugField(unique=True, max_length=60, help_text=_("Part of its address; never used twice."))
    state = models.CharField(max_length=9, choices=ReleaseState.choices, default=ReleaseState.BUILDING)
    job = models.ForeignKey("arena.Job", models.SET_NULL, null=True, blank=True, related_name="+")
    policy = models.CharField(max_length=20, help_text=_("Version of the moderation policy that it was held against."))
    licence = models.CharField(max_length=80)
    conversations = models.PositiveBigIntegerField(default=0)
    messages = models.PositiveBigIntegerField(default=0)
    dropped = models.JSONField(default=dict, blank=True, help_text=_("How many conversations stayed out, by reason."))
    facts = models.JSONField(default=dict, blank=True, help_text=_("What the card tells: models, languages, backends."))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=now)
    published_at = models.DateTimeField(null=True, blank=True)
    recalled_at = models.DateTimeField(null=True, blank=True)
    recall_reason = models.CharField(max_length=300, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        ordering = ["-created_at"]
        permissions = [("publish_release", "Can publish and recall releases")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state__in=["published", "recalled"]) | Q(published_at__isnull=False),
                name="release_published_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="recalled") | Q(recalled_at__isnull=False), name="release_recalled_has_time"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.all())

    @property
    def digest(self) -> str:
        """Of SHA256SUMS, which holds the digests of all other files: it names the release as a whole."""
        return next((file.sha256 for file in self.files.all() if file.path == "SHA256SUMS"), "")

    @property
    def kept_in(self) -> list[tuple[str, int]]:
        """Why conversations stayed in, in words, the most frequent reason first."""
        labels = dict(Drop.choices)
        found = sorted(self.dropped.items(), key=lambda item: (-item[1], item[0]))
        return [(str(labels.get(reason, reason)), count) for reason, count in found]

    @property
    def models(self) -> list[tuple[str, int]]:
        """Public names and their conversations, the most frequent first."""
        return _ranked(self.facts.get("models", {}))

    @property
    def languages(self) -> list[tuple[str, int]]:
        """English names and their conversations, the most frequent first."""
        return _ranked(self.facts.get("languages", {}))


def _ranked(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


class ReleaseFile(models.Model):
    """One file of a release, as it was when it was published."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="files")
    path = models.CharField(max_length=120, help_text=_("Inside the release, with forward slashes."))
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("release file")
        verbose_name_plural = _("release files")
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["release", "path"], name="release_file_once")]

    def __str__(self) -> str:
        return self.path


class ReleasedConversation(models.Model):
    """That a conversation is in a release, under which public id: for /me, and for the list of removals."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="+")
    conversation = models.ForeignKey("arena.Conversation", models.PROTECT, related_name="+")
    public_id = models.CharField(max_length=32)

    class Meta:
        verbose_name = _("released conversation")
        verbose_name_plural = _("released conversations")
        constraints = [
            models.UniqueConstraint(fields=["release", "conversation"], name="released_once"),
            models.UniqueConstraint(fields=["release", "public_id"], name="released_id_once"),
        ]
        indexes = [models.Index(fields=["conversation"])]

    def __str__(self) -> str:
        return self.public_id
