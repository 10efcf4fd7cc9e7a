"""What operators write and switch: versioned pages and the one row of site switches."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from arena.clock import now
from arena.ids import uuid7


class Page(models.Model):
    """A page of the operator's own words (/terms, /privacy, /about). Its text is its newest version."""

    slug = models.SlugField(primary_key=True)
    title = models.CharField(max_length=120)

    class Meta:
        verbose_name = _("page")
        verbose_name_plural = _("pages")

    def __str__(self) -> str:
        return self.title


class PageVersion(models.Model):
    """An immutable version of a page, in Markdown. Consents point at the version that was agreed to."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    page = models.ForeignKey(Page, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    language = models.CharField(max_length=12, default="en", help_text=_("Which language the text is written in."))
    published_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name = _("page version")
        verbose_name_plural = _("page versions")
        constraints = [models.UniqueConstraint(fields=["page", "number"], name="page_version_once")]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.page_id} v{self.number}"


class BoardSource(models.TextChoices):
    AUTO = "auto", _("demo until the first live votes")
    DEMO = "demo", _("demo")
    LIVE = "live", _("live")


class SiteConfig(models.Model):
    """Site switches; exactly one row (id 1), made by the first migration."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    battles_paused = models.BooleanField(default=False)
    pause_message = models.CharField(max_length=200, blank=True)
    board_source = models.CharField(max_length=8, choices=BoardSource.choices, default=BoardSource.AUTO)

    demo_seeded = models.BooleanField(
        default=False, editable=False, help_text=_("The demo was written once; see arena.demo.")
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="site_config_single_row")]
        verbose_name = verbose_name_plural = _("site configuration")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @classmethod
    def current(cls) -> "SiteConfig":
        """The switches as they stand; the defaults when the row is missing."""
        return cls.objects.filter(pk=1).first() or cls()
