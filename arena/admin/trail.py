"""The audit trail as a page: who wrote what, and what it was before. Nothing here can be changed: the database refuses it."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from arena.admin.readonly import ReadOnlyAdmin
from arena.models import AuditEntry

BRIEF = 80  # characters of the list's summary


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "actor_name", "action", "kind", "title", "what"]
    list_filter = ["action", "kind", "created_at"]
    search_fields = ["actor_name", "subject", "title", "reason"]
    date_hierarchy = "created_at"
    fields = ["created_at", "actor_name", "action", "kind", "subject", "title", "reason", "changes"]
    readonly_fields = ["changes"]

    @admin.display(description=gettext_lazy("changed"))
    def what(self, entry: AuditEntry) -> str:
        """The names of what changed, or the reason that was given."""
        names = ", ".join({**entry.before, **entry.after}) or entry.reason
        return names if len(names) <= BRIEF else names[: BRIEF - 1] + "…"

    @admin.display(description=gettext_lazy("before and after"))
    def changes(self, entry: AuditEntry) -> SafeString:
        """One row per field. Values are text, never markup."""
        names = list({**entry.before, **entry.after})
        rows = format_html_join(
            "", "<tr><th scope=row>{}</th><td>{}</td><td>{}</td></tr>", (_row(entry, name) for name in names)
        )
        head = format_html(
            "<tr><th scope=col>{}</th><th scope=col>{}</th><th scope=col>{}</th></tr>",
            _("field"),
            _("before"),
            _("after"),
        )
        return format_html("<table><thead>{}</thead><tbody>{}</tbody></table>", head, rows)


def _row(entry: AuditEntry, name: str) -> tuple[str, str, str]:
    return name, _shown(entry.before, name), _shown(entry.after, name)


def _shown(values: dict[str, Any], name: str) -> str:
    """A missing value is a dash, so that it differs from an empty text."""
    value = values.get(name)
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)
