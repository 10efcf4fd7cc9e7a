"""Celery tasks of the board (queue `rank`): each calls one verb."""

from celery import shared_task

from ranking import fitting


@shared_task(ignore_result=True)
def refit() -> int:
    return len(fitting.refit())
