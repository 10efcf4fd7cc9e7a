"""The Celery app. Queues: generate (worker-generate), rank and default (worker-batch), export (worker-long)."""

import gc
import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import (
    after_task_publish,
    beat_init,
    celeryd_init,
    worker_before_create_process,
    worker_ready,
    worker_shutdown,
)

from arena import logs  # noqa: F401 (connects its receivers before Celery sets up logging of its own)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")

app = Celery("arena")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
def step_back(**_: object) -> None:
    """A node whose work nobody waits for leaves the processor to those that people look at; its children inherit that."""
    os.nice(int(os.environ.get("AGON_NICE") or 0))


@worker_before_create_process.connect
def share_with_children(**_: object) -> None:
    """What is loaded before a fork is nobody's garbage: left out of collections, its pages stay shared."""
    gc.collect()
    gc.freeze()


@worker_ready.connect
def show_life(sender: Any, **_: object) -> None:
    """A heartbeat from the consumer's timer; worker-generate starts its loop, which beats by itself."""
    from django.conf import settings

    from arena.operations import heartbeat

    heartbeat.tell()
    if "generate" in sender.app.amqp.queues.consume_from:
        from arena.generation.loop import loop

        loop()
    else:
        sender.timer.call_repeatedly(settings.HEARTBEAT_S, heartbeat.tell)


@worker_shutdown.connect
def show_the_end(**_: object) -> None:
    from arena.operations import heartbeat

    heartbeat.leave()


@beat_init.connect
def show_the_clocks_life(**_: object) -> None:
    """Beat lives as long as it publishes tasks."""
    from arena.operations import heartbeat

    heartbeat.tell()
    after_task_publish.connect(lambda **_: heartbeat.tell_sometimes(), weak=False)


@beat_init.connect
@worker_ready.connect
def tell_supervisor(**_: object) -> None:
    """The process table's readiness mark for Celery nodes, which listen on no port."""
    mark = os.environ.get("AGON_READY_FILE")
    if mark:
        Path(mark).touch()
