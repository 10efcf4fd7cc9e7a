"""What was refused, appealed and reported, without its text: that is read, and decided, at the moderation desk."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.admin.readonly import ReadOnlyAdmin
from arena.models import Appeal, GateBlock, Report


class AtTheDesk(ReadOnlyAdmin):
    """Rows whose page is the desk's. `queue` is the slug of theirs."""

    queue = ""
    readonly_fields = ["desk"]
    ordering = ["-created_at"]

    @admin.display(description=gettext_lazy("text and decision"))
    def desk(self, row: Any) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("desk_case", args=[self.queue, row.pk]), _("At the desk"))


@admin.register(GateBlock)
class GateBlockAdmin(AtTheDesk):
    queue = "blocked"
    list_display = ["id", "category", "rule", "policy", "created_at"]
    list_filter = ["category", "policy", "created_at"]
    exclude = ["prompt"]


@admin.register(Appeal)
class AppealAdmin(AtTheDesk):
    queue = "appeals"
    list_display = ["id", "block", "decision", "decided_by", "decided_at", "created_at"]
    list_filter = ["decision", "created_at"]
    list_select_related = ["block", "decided_by"]
    exclude = ["text"]


@admin.register(Report)
class ReportAdmin(AtTheDesk):
    queue = "reports"
    list_display = ["id", "reason", "reply", "decision", "decided_by", "decided_at", "created_at"]
    list_filter = ["decision", "reason", "created_at"]
    list_select_related = ["reply", "decided_by"]
    exclude = ["text"]
