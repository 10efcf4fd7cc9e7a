"""Battles: the list, and the page of one with both conversations side by side and what can be done about it.

Whoever has `arena.view_battle` sees states, timings, deployments and standings; text only with `arena.view_message`.
"""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from arena import voiding
from arena.admin.readonly import ReadOnlyAdmin
from arena.casefile import CaseFile
from arena.desk.queues import consented
from arena.errors import Refused
from arena.models import Ban, Battle, Visitor, Vote
from arena.models.votes import EventKind

RELATED = (
    "conversation_a",
    "conversation_b",
    "revision_a__contestant",
    "revision_b__contestant",
    "visitor",
    "consent__terms",
    "vote",
)


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=1000)


@admin.register(Battle)
class BattleAdmin(ReadOnlyAdmin):
    list_display = ["id", "state", "void_reason", "origin", "revision_a", "revision_b", "created_at"]
    list_filter = ["state", "void_reason", "origin", "created_at"]
    list_select_related = ["revision_a__contestant", "revision_b__contestant"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    search_fields = ["id"]
    search_help_text = gettext_lazy("The id of a battle or of a visitor, whole.")
    change_form_template = "admin/battle.html"

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path("<uuid:pk>/void/", self.admin_site.admin_view(self.void), name="arena_battle_void"),
            path("<uuid:pk>/void-votes/", self.admin_site.admin_view(self.void_votes), name="arena_battle_void_votes"),
        ]
        return mine + super().get_urls()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Battle], search_term: str
    ) -> tuple[QuerySet[Battle], bool]:
        """Whole ids only, which their indexes find."""
        if not search_term:
            return queryset, False
        wanted = _uuid(search_term.strip())
        return queryset.filter(Q(pk=wanted) | Q(visitor=wanted)) if wanted else queryset.none(), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        wanted = _uuid(object_id)
        battle = Battle.objects.select_related(*RELATED).filter(pk=wanted).first() if wanted else None
        more = _page(request, battle) if battle and self.has_view_permission(request, battle) else {}
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    def void(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Take the battle out of the ranking."""
        battle = self._may_void(request, pk)
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            try:
                voiding.void_battle(battle, request.user, form.cleaned_data["reason"])
                messages.success(request, _("The battle is out of the ranking; a fit of the board has been queued."))
            except Refused as refusal:
                messages.error(request, refusal.message)
        return redirect("admin:arena_battle_change", pk)

    def void_votes(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Take every vote of the battle's visitor out of the ranking."""
        battle = self._may_void(request, pk)
        form = ReasonForm(request.POST or None)
        if form.is_valid() and battle.visitor:
            n = voiding.void_votes_of(battle.visitor, request.user, form.cleaned_data["reason"])
            words = ngettext("%(n)d vote is out of the ranking.", "%(n)d votes are out of the ranking.", n) % {"n": n}
            messages.success(request, words)
        return redirect("admin:arena_battle_change", pk)

    def _may_void(self, request: HttpRequest, pk: UUID) -> Battle:
        if request.method != "POST" or not request.user.has_perm("arena.void_battle"):
            raise PermissionDenied
        return get_object_or_404(Battle.objects.select_related("visitor"), pk=pk)


def _page(request: HttpRequest, battle: Battle) -> dict[str, Any]:
    """What `admin/battle.html` shows beside the battle itself."""
    may_read, vote = request.user.has_perm("arena.view_message"), getattr(battle, "vote", None)
    counted = vote is not None and not vote.events.filter(kind=EventKind.VOID).exists()
    return {
        "battle": battle,
        "file": CaseFile(battle, may_read=may_read),
        "technical": True,
        "consented": consented(battle),
        "vote": vote,
        "vote_counts": counted,
        "may_void": counted or (vote is None and battle.state != "void"),
        "bans": _bans(battle.visitor),
        "other_battles": Battle.objects.filter(visitor=battle.visitor).count() - 1 if battle.visitor else 0,
        "votes": Vote.objects.filter(visitor=battle.visitor).count() if battle.visitor else 0,
        "reason": ReasonForm(auto_id=False),
    }


def _bans(visitor: Visitor | None) -> QuerySet[Ban]:
    return Ban.objects.live().filter(visitor=visitor) if visitor else Ban.objects.none()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
