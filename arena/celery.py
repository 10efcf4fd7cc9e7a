"""The Celery app. Queues: generate (worker-generate), rank and default (worker-batch), export (worker-long)."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import beat_init, worker_ready

from arena import logs  # noqa: F401 (connects its receivers before Celery sets up logging of its own)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")

app = Celery("arena")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_init.connect
@worker_ready.connect
def tell_supervisor(**_: object) -> None:
    """The process table's readiness mark for Celery nodes, which listen on no port."""
    mark = os.environ.get("AGON_READY_FILE")
    if mark:
        Path(mark).touch()
