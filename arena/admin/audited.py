"""Admin pages whose every write leaves its trail: add, change, delete, inlines and actions, in the transaction of the write.

An admin page either derives from `AuditedAdmin` or is read-only (`arena/admin/readonly.py`); a test walks the registry. Views of
one's own (`get_urls`) call `arena.audit.record` or go through `audit.watched` themselves.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import ngettext

from arena import audit

ACTION_ROWS = 500  # rows that one action may touch: the trail names each of them
Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


class AuditedAdmin(admin.ModelAdmin):
    """Base of every writable admin page. `reading_actions` names actions that write nothing."""

    reading_actions: frozenset[str] = frozenset()
    list_per_page = 50
    show_full_result_count = False

    def audited_fields(self, row: Any) -> dict[str, Any]:
        """What the trail keeps of a row; more than its columns where a page writes more than one table."""
        return audit.fields(row)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if request.method != "POST" or object_id is None:
            return super().changeform_view(request, object_id, *args, **kwargs)
        with self._watching(request, object_id):
            return super().changeform_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return super().delete_view(request, object_id, *args, **kwargs)
        with self._watching(request, object_id):
            return super().delete_view(request, object_id, *args, **kwargs)

    def _watching(self, request: HttpRequest, object_id: str) -> Any:
        found = self.get_object(request, unquote(object_id))
        rows = self.model._base_manager.filter(pk=found.pk if found else None)
        return audit.watched(request.user, rows, describe=self.audited_fields)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        fresh = self.model._base_manager.get(pk=obj.pk)
        audit.record(request.user, "add", fresh, after=self.audited_fields(fresh))
        return super().log_addition(request, obj, message)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Rows edited inside their parent's page."""
        known = [one.instance.pk for one in formset.initial_forms]
        with audit.watched(request.user, formset.model._base_manager.filter(pk__in=known)):
            super().save_formset(request, form, formset, change)
        for made in formset.new_objects:
            audit.record(request.user, "add", made, after=audit.fields(made))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return {
            name: (function if name in self.reading_actions else self._audited(name, function), name, description)
            for name, (function, _name, description) in actions.items()
        }

    def _audited(self, name: str, action: Action) -> Action:
        @wraps(action)
        def inner(page: "AuditedAdmin", request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
            if chosen.count() > ACTION_ROWS:
                page.message_user(request, _too_many(), messages.ERROR)
                return None
            rows = page.model._base_manager.filter(pk__in=list(chosen.values_list("pk", flat=True)))
            with audit.watched(request.user, rows, name, page.audited_fields):
                return action(page, request, chosen)

        return inner


def _too_many() -> str:
    words = ngettext("Choose at most %(n)d row at a time.", "Choose at most %(n)d rows at a time.", ACTION_ROWS)
    return words % {"n": ACTION_ROWS}
