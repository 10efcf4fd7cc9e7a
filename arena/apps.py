from django.apps import AppConfig

from arena.celery import app as celery_app

__all__ = ["ArenaConfig", "celery_app"]  # importing the app here binds every shared task to it


class ArenaConfig(AppConfig):
    name = "arena"
    default_auto_field = "django.db.models.BigAutoField"
