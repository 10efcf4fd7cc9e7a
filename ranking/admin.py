"""The board in the admin: read the snapshots and counts, publish now, remove the demo data."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena import audit, voiding
from arena.admin.readonly import ReadOnlyAdmin
from arena.models import SiteConfig, Vote
from ranking import demo
from ranking.guard import suspicions
from ranking.models import (
    BoardSnapshot,
    BoardTrouble,
    JudgeCount,
    PairCount,
    Suspicion,
    VoteImport,
    VoteLabel,
    VoteStyle,
)
from ranking.votelog import publication

BATTLES_SHOWN = 200
PUBLISH_NOW = "ranking.tasks.publish_now"


class Category(admin.AllValuesFieldListFilter):
    """With words on the link of the empty one, which is overall."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or _("Overall")}


@admin.register(BoardSnapshot)
class BoardSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("origin", "category", "controlled", "votes", "fitted_at", "published_at", "public_counts")
    list_filter = ("origin", ("category", Category), "controlled", ("published_at", admin.EmptyFieldListFilter))
    ordering = ("-fitted_at",)
    change_list_template = "ranking/admin_snapshots.html"

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path("refit/", self.admin_site.admin_view(self.refit), name="ranking_refit"),
            path("publish/", self.admin_site.admin_view(self.publish), name="ranking_publish"),
            path("wipe-demo/", self.admin_site.admin_view(self.wipe_demo), name="ranking_wipe_demo"),
        ]
        return mine + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"next_publication": publication.next_moment(), "troubles": BoardTrouble.objects.order_by("since")}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def get_queryset(self, request: HttpRequest) -> QuerySet[BoardSnapshot]:
        return super().get_queryset(request).defer("board") if not _one(request) else super().get_queryset(request)

    def refit(self, request: HttpRequest) -> HttpResponse:
        """Queue a fit: the estimators run in the batch worker, never in the web process."""
        if request.method == "POST":
            _allowed(request, "arena.add_job")
            audit.record(request.user, "refit", SiteConfig.current())
            if voiding.ask_for_a_fit():
                said = _("A fit has been queued. A new snapshot appears here if a count has changed.")
                messages.success(request, said)
            else:
                messages.warning(request, _("The broker is away. The next scheduled fit will do it."))
        return redirect(_list())

    def publish(self, request: HttpRequest) -> HttpResponse:
        """Queue a publication outside the schedule, in the batch worker for the same reason."""
        if request.method == "POST":
            _allowed(request, "arena.add_job")
            audit.record(request.user, "publish board", SiteConfig.current())
            if voiding.queue(PUBLISH_NOW):
                said = _(
                    "The live boards will be published at once. Exclusions for abuse stay hidden until their batch."
                )
                messages.success(request, said)
            else:
                messages.warning(request, _("The broker is away. Please try again."))
        return redirect(_list())

    def wipe_demo(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            _allowed(request, "arena.delete_battle")
            removed = demo.wipe(request.user)
            text = ngettext("%(n)d demo battle was removed.", "%(n)d demo battles were removed.", removed)
            messages.success(request, text % {"n": removed})
        return redirect(_list())


@admin.register(PairCount)
class PairCountAdmin(ReadOnlyAdmin):
    list_display = ("origin", "category", "first", "second", "outcome", "count")
    list_filter = ("origin", ("category", Category), "outcome")
    list_select_related = ("first", "second")
    ordering = ("origin", "category", "first", "second", "outcome")


@admin.register(JudgeCount)
class JudgeCountAdmin(ReadOnlyAdmin):
    list_display = ("origin", "judge", "first", "second", "outcome", "count")
    list_filter = ("origin", "outcome")
    list_select_related = ("first", "second")
    search_fields = ("judge",)
    ordering = ("origin", "judge", "first", "second", "outcome")


@admin.register(VoteStyle)
class VoteStyleAdmin(ReadOnlyAdmin):
    list_display = (
        "event",
        *(f"{name}_{side}" for name in ("length", "headers", "lists", "bold") for side in ("a", "b")),
    )
    list_select_related = ("event",)
    ordering = ("-event",)


@admin.register(VoteLabel)
class VoteLabelAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "name", "source", "event")
    list_filter = ("name", "source")
    list_select_related = ("event",)
    ordering = ("-created_at", "-pk")
    change_list_template = "ranking/admin_labels.html"


@admin.register(VoteImport)
class VoteImportAdmin(ReadOnlyAdmin):
    list_display = ("title", "origin", "format", "votes", "counted", "contestants", "styled", "created_at")
    list_filter = ("format",)


class Decided(admin.SimpleListFilter):
    title = gettext_lazy("decision")
    parameter_name = "decided"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", _("open")), ("confirmed", _("confirmed")), ("cleared", _("taken back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Suspicion]) -> QuerySet[Suspicion]:
        chosen = {
            "open": Q(cleared_at=None, confirmed_at=None),
            "confirmed": Q(cleared_at=None, confirmed_at__isnull=False),
            "cleared": Q(cleared_at__isnull=False),
        }
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(Suspicion)
class SuspicionAdmin(ReadOnlyAdmin):
    """Whom the watch suspects of what. One decides: the votes stay out, or they count again."""

    list_display = ("updated_at", "kind", "code", "detector", "way", "contestant", "statistic", "votes", "decision")
    list_filter = (Decided, "detector", "kind")
    list_select_related = ("contestant", "cleared_by", "confirmed_by")
    search_fields = ("code",)
    ordering = ("-updated_at",)
    readonly_fields = ("battles",)
    actions = ["confirm", "clear"]

    @admin.display(description=gettext_lazy("decision"))
    def decision(self, suspicion: Suspicion) -> str:
        if suspicion.cleared_at:
            return _("taken back by %(who)s") % {"who": suspicion.cleared_by or "-"}
        if suspicion.confirmed_at:
            return _("confirmed by %(who)s") % {"who": suspicion.confirmed_by or "-"}
        return _("open")

    @admin.display(description=gettext_lazy("battles, newest first"))
    def battles(self, suspicion: Suspicion) -> SafeString:
        """Those of the votes that were taken out, at most BATTLES_SHOWN."""
        votes = Vote.objects.filter(pk__in=suspicion.vote_ids).order_by("-pk")[:BATTLES_SHOWN]
        links = ((reverse("admin:arena_battle_change", args=[one.battle_id]), one) for one in votes)
        return format_html_join(mark_safe("<br>"), '<a href="{}">{}</a>', links)

    def has_clear_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("ranking.change_suspicion")

    @admin.action(description=gettext_lazy("Confirm: these votes stay out"), permissions=["clear"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[Suspicion]) -> None:
        done = sum(suspicions.confirm(suspicion, request.user) for suspicion in queryset)
        self.message_user(request, ngettext("%d suspicion is confirmed.", "%d suspicions are confirmed.", done) % done)

    @admin.action(description=gettext_lazy("Take back: these votes count again"), permissions=["clear"])
    def clear(self, request: HttpRequest, queryset: QuerySet[Suspicion]) -> None:
        votes = sum(suspicions.clear(suspicion, request.user) for suspicion in queryset)
        self.message_user(request, ngettext("%d vote counts again.", "%d votes count again.", votes) % votes)


def _one(request: HttpRequest) -> bool:
    return bool(request.resolver_match and request.resolver_match.kwargs.get("object_id"))


def _allowed(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _list() -> str:
    return reverse("admin:ranking_boardsnapshot_changelist")
