"""The admin under our own name."""

from django.contrib.admin.apps import AdminConfig


class AgonAdminConfig(AdminConfig):
    """Django's admin, titled."""
