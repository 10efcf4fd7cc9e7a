"""Whether anybody would run a job of ours now."""

from kombu.exceptions import OperationalError

from arena.celery import app
from datasets.releases import QUEUE

PATIENCE_S = 2.0


def listening() -> bool:
    """A worker that consumes the queue of releases answers. Takes up to PATIENCE_S; False when the broker is away."""
    try:
        queues = app.control.inspect(timeout=PATIENCE_S).active_queues() or {}
    except (OperationalError, OSError):
        return False
    return any(queue.get("name") == QUEUE for of_worker in queues.values() for queue in of_worker or ())
