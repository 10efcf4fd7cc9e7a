"""Battles, their turns and votes, as they were. Staff read text here; nothing is edited."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.models import Battle, Reply, Turn, Vote, VoteEvent


class TurnInline(ReadOnlyInline):
    model = Turn
    fields = readonly_fields = ("number", "prompt", "state", "claims", "created_at", "finished_at")


class ReplyInline(ReadOnlyInline):
    model = Reply
    fields = readonly_fields = (
        "side",
        "state",
        "finish_reason",
        "error",
        "attempt",
        "deployment",
        "tokens_in",
        "tokens_out",
    )


@admin.register(Battle)
class BattleAdmin(ReadOnlyAdmin):
    list_display = ["id", "state", "void_reason", "origin", "revision_a", "revision_b", "created_at"]
    list_filter = ["state", "void_reason", "origin", "created_at"]
    list_select_related = ["revision_a__contestant", "revision_b__contestant"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    inlines = [TurnInline]


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ["id", "battle", "number", "state", "claims", "lease_owner", "lease_until", "created_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["battle"]
    ordering = ["-created_at"]
    inlines = [ReplyInline]
    exclude = ["key"]


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    list_display = ["id", "side", "state", "finish_reason", "error", "attempt", "deployment", "tokens_out"]
    list_filter = ["state", "finish_reason", "error", "deployment"]
    list_select_related = ["deployment__endpoint"]
    ordering = ["-id"]
    readonly_fields = ["text"]

    @admin.display(description=_("text"))
    def text(self, reply: Reply) -> str:
        return reply.message.text if reply.message else ""


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    list_display = ["id", "battle", "choice", "unranked", "identity_mark", "seconds_to_vote", "created_at"]
    list_filter = ["choice", "unranked", "identity_mark", "created_at"]
    list_select_related = ["battle"]
    ordering = ["-created_at"]


@admin.register(VoteEvent)
class VoteEventAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "kind",
        "origin",
        "contestant_a",
        "contestant_b",
        "choice",
        "ranked",
        "absorbed",
        "created_at",
    ]
    list_filter = ["kind", "origin", "ranked", "absorbed"]
    list_select_related = ["contestant_a", "contestant_b"]
    ordering = ["-created_at"]
