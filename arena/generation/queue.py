"""Handing a turn to the workers: a Celery message on commit (`sweeper.py` finds whatever was lost)."""

import logging
from uuid import UUID

from django.db import transaction
from kombu.exceptions import OperationalError

from arena.celery import app

log = logging.getLogger(__name__)
TASK = "arena.tasks.generate"


def enqueue(turn_id: UUID) -> None:
    """Send the turn to a worker once the transaction is committed. A dead broker only delays it until the sweep."""
    transaction.on_commit(lambda: send(turn_id))


def send(turn_id: UUID) -> bool:
    try:
        app.send_task(TASK, [str(turn_id)], queue="generate", retry=False)
    except (OperationalError, OSError) as error:
        log.warning("broker unreachable (%s); the sweeper will pick up turn %s", error, turn_id)
        return False
    return True


def queued_messages() -> int:
    """How many messages wait in the broker's generate queue."""
    with app.connection_for_read() as connection:
        return connection.default_channel.client.llen("generate")
