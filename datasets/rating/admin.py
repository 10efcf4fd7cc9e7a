"""Rounds for expert raters: begun and closed here; labels are given on the raters' own pages."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from arena.admin.audited import AuditedAdmin
from arena.models import RatingRound
from datasets.rating import rounds


@admin.register(RatingRound)
class RatingRoundAdmin(AuditedAdmin):
    """What was asked and how often never changes after the first label; the guide may."""

    list_display = ["name", "wanted", "labels_each", "drawn", "labelled", "closed_at", "created_by", "created_at"]
    list_select_related = ["created_by"]
    fields = ["name", "guide", "wanted", "labels_each"]
    actions = ["close"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RatingRound]:
        given = Count("items__labels", filter=~Q(items__labels__choice=""))
        return super().get_queryset(request).annotate(drawn=Count("items", distinct=True), labelled=given)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["name", "wanted", "labels_each"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: RatingRound, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
        else:
            rounds.begin(obj, request.user)  # type: ignore[arg-type]

    @admin.display(description=_("battles drawn"))
    def drawn(self, round: Any) -> int:
        return int(round.drawn)

    @admin.display(description=_("labels"))
    def labelled(self, round: Any) -> int:
        return int(round.labelled)

    @admin.action(description=_("Close: take no more labels"), permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[RatingRound]) -> None:
        ended = sum(rounds.close(one, request.user) for one in queryset)  # type: ignore[arg-type]
        self.message_user(request, ngettext("%d round closed.", "%d rounds closed.", ended) % ended)
