"""The admin under our own name."""

from django.contrib.admin.apps import AdminConfig


class AgonAdminConfig(AdminConfig):
    """Django's admin, titled."""

    def ready(self) -> None:
        super().ready()
        from django.contrib import admin

        admin.site.site_header = admin.site.site_title = "Agon"
        admin.site.index_title = "Operations"
