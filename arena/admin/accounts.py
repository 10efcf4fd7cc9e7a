"""Accounts and groups of the staff: superusers only, every write in the trail, secrets never."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse

from arena.admin.audited import AuditedAdmin


class SuperusersOnly:
    """Whoever may edit accounts can make themselves anything, so a permission alone opens none of this."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _superuser(request)


def _superuser(request: HttpRequest) -> bool:
    user = request.user
    return bool(user.is_active and user.is_staff and user.is_superuser)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class AccountAdmin(SuperusersOnly, AuditedAdmin, UserAdmin):
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if request.method != "POST":
            return super().user_change_password(request, id, form_url)
        with self._watching(request, id):
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class StaffGroupAdmin(SuperusersOnly, AuditedAdmin, GroupAdmin):
    """The groups of `arena/staff.py` are put right at the next start; other groups stay as they are made."""
