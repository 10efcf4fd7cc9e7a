"""Turns, replies and votes, as they were. No text stands here: it is read on the page of the battle (`battle_page.py`)."""

from django.contrib import admin

from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.models import Reply, Turn, Vote, VoteEvent


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


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ["id", "battle", "number", "state", "claims", "lease_owner", "lease_until", "created_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["battle"]
    ordering = ["-created_at"]
    inlines = [ReplyInline]
    exclude = ["key", "prompt"]


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    list_display = ["id", "side", "state", "finish_reason", "error", "attempt", "deployment", "tokens_out"]
    list_filter = ["state", "finish_reason", "error", "deployment"]
    list_select_related = ["deployment__endpoint"]
    ordering = ["-id"]
    exclude = ["message"]


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
