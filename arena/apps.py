from django.apps import AppConfig
from django.db.models.signals import post_migrate

from arena.celery import app as celery_app

__all__ = ["ArenaConfig", "celery_app"]  # importing the app here binds every shared task to it


class ArenaConfig(AppConfig):
    name = "arena"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from arena import staff

        post_migrate.connect(staff.after_migrate, sender=self)
