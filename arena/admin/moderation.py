"""What was refused, appealed and reported."""

from django.contrib import admin

from arena.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from arena.models import Appeal, GateBlock, Report


class AppealInline(ReadOnlyInline):
    model = Appeal
    fields = readonly_fields = ("text", "created_at")
    show_change_link = False


@admin.register(GateBlock)
class GateBlockAdmin(ReadOnlyAdmin):
    list_display = ["id", "category", "rule", "policy", "created_at"]
    list_filter = ["category", "policy", "created_at"]
    ordering = ["-created_at"]
    inlines = [AppealInline]


@admin.register(Appeal)
class AppealAdmin(ReadOnlyAdmin):
    list_display = ["id", "block", "text", "created_at"]
    list_select_related = ["block"]
    ordering = ["-created_at"]


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    list_display = ["id", "reason", "reply", "text", "created_at"]
    list_filter = ["reason", "created_at"]
    list_select_related = ["reply"]
    ordering = ["-created_at"]
