"""The admin under our own name: sign-ins are throttled, and a changed password leaves its trail."""

from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy


class AgonAdminSite(AdminSite):
    site_header = site_title = "Agon"
    index_title = gettext_lazy("Operations")

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from arena.sign_in import throttled

        return throttled(super().login)(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """One's own password."""
        if request.method != "POST":
            return super().password_change(request, extra_context)
        from django.contrib.auth.models import User

        from arena import audit

        with audit.watched(request.user, User.objects.filter(username=request.user.get_username())):
            return super().password_change(request, extra_context)


class AgonAdminConfig(AdminConfig):
    """Django's admin with our site."""

    default_site = "arena.admin_site.AgonAdminSite"
