"""The job over history: every message is re-checked, and enriched only where version, policy or text have changed.

Begun again it skips what it had done, so a worker that dies costs nothing but the reading.
"""

from uuid import UUID

from django.conf import settings

from arena import jobs
from arena.models import Message
from arena.moderation.enrichment import enrich

FIRST = UUID(int=0)


def run(job_id: UUID) -> int | None:
    """Run the job if nobody has it; returns how many messages were enriched, None when another worker has it."""
    with jobs.running(job_id) as progress:
        return None if progress is None else _all_messages(progress)


def _all_messages(progress: jobs.Progress) -> int:
    texts = Message.objects.exclude(text="").order_by("pk").defer("html")
    progress.total(texts.count())
    last, checked, written = FIRST, 0, 0
    while batch := list(texts.filter(pk__gt=last)[: settings.ENRICH_BATCH]):
        written += enrich(batch)
        last, checked = batch[-1].pk, checked + len(batch)
        progress.at(checked, f"{written} of {checked} messages enriched anew")
    progress.last(checked, f"{written} of {checked} messages enriched anew")
    return written
