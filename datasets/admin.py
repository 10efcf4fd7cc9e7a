"""Releases in the admin: what there is, a new one with its dry run and progress, and the recall. The verbs audit."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.errors import Refused
from arena.models import Job
from arena.models.operations import JobState
from datasets import releases
from datasets.models import Release, ReleaseFile, ReleaseState
from datasets.rating.admin import RatingRoundAdmin
from datasets.reasons import ADMITTED, Drop

__all__ = ["RatingRoundAdmin", "ReleaseAdmin"]

MAY = "datasets.publish_release"
OPEN = (JobState.QUEUED, JobState.RUNNING)


class NewRelease(forms.Form):
    """The name alone: everything else follows from the database."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("Part of its address: small letters, digits, hyphens. Never used twice."),
    )


class FileInline(ReadOnlyInline):
    model = ReleaseFile
    fields = readonly_fields = ("path", "size", "sha256")
    show_change_link = False


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "conversations", "messages", "published_at", "created_by")
    list_filter = ("state",)
    list_select_related = ("created_by",)
    ordering = ("-created_at",)
    inlines = (FileInline,)
    exclude = ("dropped",)  # the page shows them in words
    change_form_template = "admin/release.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MAY)

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path("survey/", self.admin_site.admin_view(self.survey), name="datasets_release_survey"),
            path("<uuid:pk>/recall/", self.admin_site.admin_view(self.recall), name="datasets_release_recall"),
        ]
        return mine + super().get_urls()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The name, and above it what a dry run has counted."""
        self._allowed(request)
        form = NewRelease(request.POST or None)
        if form.is_valid() and (started := self._started(request, form)):
            return redirect("admin:datasets_release_change", started.pk)
        context = self.admin_site.each_context(request) | {"title": _("New release"), "form": form, "opts": self.opts}
        return TemplateResponse(request, "admin/new_release.html", context | _dry_run(request.GET.get("survey", "")))

    def _started(self, request: HttpRequest, form: NewRelease) -> Release | None:
        try:
            return releases.start(form.cleaned_data["name"], request.user)
        except Refused as refused:
            form.add_error("name", refused.message)
            return None

    def survey(self, request: HttpRequest) -> HttpResponse:
        self._allowed(request)
        page = reverse("admin:datasets_release_add")
        if request.method != "POST":
            return redirect(page)
        try:
            return HttpResponseRedirect(f"{page}?survey={releases.survey(request.user).pk}")
        except Refused as refused:
            self.message_user(request, refused.message, messages.ERROR)
            return redirect(page)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        releases.settle()
        release = self.get_object(request, object_id)
        more = {
            "job": release.job if release else None,
            "at_work": release is not None and release.state == ReleaseState.BUILDING,
            "may_recall": release is not None
            and release.state == ReleaseState.PUBLISHED
            and request.user.has_perm(MAY),
            "counts": release.kept_in if release else [],
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def recall(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self._allowed(request)
        release = get_object_or_404(Release, pk=pk)
        if request.method == "POST":
            try:
                releases.recall(release, request.user, request.POST.get("reason", ""))
                self.message_user(request, _("The release is recalled. Its files are gone."), messages.SUCCESS)
            except Refused as refused:
                self.message_user(request, refused.message, messages.ERROR)
        return redirect("admin:datasets_release_change", pk)

    def _allowed(self, request: HttpRequest) -> None:
        if not request.user.has_perm(MAY):
            raise PermissionDenied


def _dry_run(job_id: str) -> dict[str, Any]:
    """The job of a dry run and its figures, for the page; nothing when there is none of that id."""
    try:
        job = Job.objects.filter(pk=UUID(job_id), kind=releases.SURVEY).first()
    except ValueError:
        job = None
    counts = releases.surveyed(job) if job else None
    labels = dict(Drop.choices)
    kept_in = [(labels[reason], counts[reason]) for reason in Drop.values if reason in counts] if counts else []
    return {
        "job": job,
        "at_work": job is not None and job.state in OPEN,
        "counted": counts is not None,
        "admitted": (counts or {}).get(ADMITTED, 0),
        "counts": kept_in,
    }
