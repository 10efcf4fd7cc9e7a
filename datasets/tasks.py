"""Celery tasks of releases (queue `export`): each calls one verb. pyarrow is loaded when one runs, in worker-long alone."""

from uuid import UUID

from celery import shared_task


@shared_task(ignore_result=True)
def build(job_id: str) -> None:
    from datasets import export

    export.run(UUID(job_id))


@shared_task(ignore_result=True)
def survey(job_id: str) -> None:
    from datasets import export

    export.survey(UUID(job_id))
