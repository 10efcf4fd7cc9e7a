"""Long work as operators see it: how far it is, when it last gave a sign of life, why it failed; start and cancel."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena import audit, jobs, voiding
from arena.admin.readonly import ReadOnlyAdmin
from arena.models import Job, SiteConfig
from arena.models.operations import JobState
from arena.moderation.policy import PolicyError
from arena.templatetags.agon import ago


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["kind", "state", "progress", "heartbeat", "message", "requested_by", "created_at", "finished_at"]
    list_filter = ["state", "kind", "created_at"]
    list_select_related = ["requested_by"]
    ordering = ["-created_at"]
    readonly_fields = ["progress", "heartbeat"]
    actions = ["cancel"]
    change_list_template = "admin/jobs.html"

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path("refit/", self.admin_site.admin_view(self.refit), name="arena_job_refit"),
            path("enrich/", self.admin_site.admin_view(self.enrich), name="arena_job_enrich"),
        ]
        return mine + super().get_urls()

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, job: Job) -> str:
        """A bar with its figures beside it; figures alone while the total is unknown."""
        if job.state == JobState.DONE:
            return format_html('<progress max="1" value="1"></progress> {}', "100 %")
        if not job.total:
            return f"{job.done:,}" if job.done else "–"
        part = min(job.done / job.total, 1.0)
        bar = '<progress max="{}" value="{}"></progress> {} % ({} / {})'
        return format_html(bar, job.total, job.done, round(100 * part), f"{job.done:,}", f"{job.total:,}")

    @admin.display(description=gettext_lazy("last sign of life"), ordering="beat_at")
    def heartbeat(self, job: Job) -> str:
        return ago(job.beat_at) or "–"

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("arena.change_job")

    @admin.action(description=gettext_lazy("Cancel: stop and mark as failed"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        stopped = sum(jobs.cancel(job, request.user) for job in queryset)
        self.message_user(request, ngettext("%d job cancelled.", "%d jobs cancelled.", stopped) % stopped)

    def refit(self, request: HttpRequest) -> HttpResponse:
        """Queue a fit of the boards."""
        _may_start(request)
        audit.record(request.user, "refit", SiteConfig.current())
        if voiding.ask_for_a_fit():
            messages.success(request, _("A fit has been queued. A new snapshot appears if a count has changed."))
        else:
            messages.warning(request, _("The broker is away. The next scheduled fit will do it."))
        return redirect("admin:arena_job_changelist")

    def enrich(self, request: HttpRequest) -> HttpResponse:
        """Start the back-fill: messages that newer detectors have not seen yet."""
        _may_start(request)
        try:
            job = start_backfill(request.user)
        except (PolicyError, OSError) as broken:
            messages.error(request, _("The rule file cannot be used: %(why)s") % {"why": broken})
        else:
            audit.record(request.user, "start", job, after={"kind": job.kind})
            messages.success(request, _("The back-fill has been queued; its row shows how far it is."))
        return redirect("admin:arena_job_changelist")


def start_backfill(actor: Any) -> Job:
    """Raises PolicyError while the rule file is broken. Detectors are heavy: loaded by who starts them, not by every process."""
    from arena.moderation import enrichment

    return enrichment.start_backfill(actor)


def _may_start(request: HttpRequest) -> None:
    if request.method != "POST" or not request.user.has_perm("arena.add_job"):
        raise PermissionDenied
