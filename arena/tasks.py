"""Celery tasks: each calls one verb."""

from uuid import UUID

from celery import shared_task

from arena import address_keys, battles, jobs, retention
from arena.generation import sweeper
from arena.live import ticker
from arena.moderation import backfill, enrichment, passing


@shared_task(ignore_result=True)
def generate(turn_id: str) -> None:
    """Hand a turn to this process's loop; the row's lease is the durability, so the message may be acknowledged."""
    from arena.generation.loop import loop

    loop().offer(UUID(turn_id))


@shared_task(ignore_result=True)
def sweep() -> int:
    return sweeper.sweep()


@shared_task(ignore_result=True)
def sweep_jobs() -> int:
    return jobs.sweep()


@shared_task(ignore_result=True)
def expire() -> int:
    return battles.expire()


@shared_task(ignore_result=True)
def enrich_turn(turn_id: str) -> int:
    return enrichment.enrich_turn(UUID(turn_id))


@shared_task(ignore_result=True)
def enrich_missing() -> int:
    return enrichment.sweep()


@shared_task(ignore_result=True)
def enrich_history(job_id: str) -> int | None:
    return backfill.run(UUID(job_id))


@shared_task(ignore_result=True)
def moderate() -> int:
    return passing.run()


@shared_task(ignore_result=True)
def tick() -> None:
    ticker.tick()


@shared_task(ignore_result=True)
def rotate_address_keys() -> int:
    return address_keys.rotate()


@shared_task(ignore_result=True)
def measure() -> bool:
    """Operators' figures; its HTTP client stays out of the web process."""
    from arena.operations import computing

    return computing.refresh()


@shared_task(ignore_result=True)
def retain() -> dict[str, int]:
    return retention.run()
