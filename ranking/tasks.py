"""Celery tasks of the board (queue `rank`): each calls one verb."""

from uuid import UUID

from celery import shared_task

from ranking.counting import labelling
from ranking.fits import fitting
from ranking.guard import watch as watching
from ranking.votelog import publication


@shared_task(ignore_result=True)
def refit() -> int:
    return len(fitting.refit())


@shared_task(ignore_result=True)
def resume() -> int:
    """Only if the last run of fits was killed or failed."""
    return len(fitting.resume())


@shared_task(ignore_result=True)
def watch() -> int:
    """Flags what the rules find among new votes."""
    return watching.run()


@shared_task(ignore_result=True)
def publish() -> int:
    """When a moment of the schedule has come."""
    return len(publication.publish())


@shared_task(ignore_result=True)
def publish_now() -> int:
    return len(publication.publish(at_once=True))


@shared_task(ignore_result=True)
def label_history(job_id: str) -> int | None:
    return labelling.run(UUID(job_id))
