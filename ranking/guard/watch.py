"""The watch on abuse: holds new live votes against the rules of docs/abuse.md and flags what they find (S13 to S17).

Runs beside the fits, never in the web process: a vote's own request does the same work whoever casts it, so its answer and its
time tell nobody what is noticed. Nor does a finding ask for a fit: off the schedule it would seal the votes that wait, and their
receipts would tell. One run at a time (an advisory lock); a crash leaves the votes unwatched for the next run.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat

from arena import clock
from arena.models import Vote
from arena.randomness import keyed_int
from ranking.guard import suspicions
from ranking.models import Suspicion

if TYPE_CHECKING:  # numpy: in the batch worker alone
    from ranking.detectors.watching import Finding, Rules
    from ranking.guard.opinions import Opinions
    from ranking.guard.watch_rows import Seen

log = logging.getLogger(__name__)
LOCK = 0x61676F6E_0003


def run() -> int:
    """Look at votes that nobody has looked at; returns how many votes were flagged. 0 while another run is under way."""
    with transaction.atomic():
        if not _alone():
            return 0
        unwatched = Vote.objects.filter(watched=False).order_by("pk").values_list("pk", flat=True)
        fresh = list(unwatched[: settings.WATCH_BATCH])
        if not fresh:
            return 0
        flagged = _examine(fresh)
        _forget()
        Vote.objects.filter(pk__in=fresh).update(watched=True)
    return flagged


def _forget() -> None:
    """After KEEP_GROUPS_DAYS nothing says any more which suspicions were about one address prefix."""
    old = clock.now() - timedelta(days=settings.KEEP_GROUPS_DAYS)
    kept = Suspicion.objects.filter(kind=Suspicion.Kind.PREFIX, updated_at__lt=old).exclude(code__startswith="past ")
    kept.update(code=Concat(Value("past "), Cast("pk", CharField())))


def rules() -> "Rules":
    """As the settings say."""
    from ranking.detectors.watching import Rules

    return Rules(
        alpha=settings.SUSPICION_ALPHA,
        group_alpha=settings.SUSPICION_GROUP_ALPHA,
        swarm_alpha=settings.SUSPICION_SWARM_ALPHA,
        heterogeneity=settings.SUSPICION_HETEROGENEITY,
        young=settings.SUSPICION_YOUNG,
        history=settings.SUSPICION_HISTORY,
        duplicates=settings.DUPLICATE_VOTES,
        share=settings.INFLUENCE_SHARE,
        prefix_share=settings.INFLUENCE_PREFIX_SHARE,
        share_least=settings.INFLUENCE_LEAST,
    )


def _examine(fresh: list[UUID]) -> int:
    from ranking.detectors import watching
    from ranking.guard import opinions, watch_rows

    moment, bounds = clock.now(), rules()
    seen = watch_rows.look(moment, fresh)
    found = watching.examine(seen.history, seen.votes, bounds, moment.timestamp(), seen.first_share)
    flagged = 0
    for finding in found:
        named = _suspicion(seen, finding, opinions.of(seen, finding, bounds))
        if number := suspicions.raise_against(named, _votes(seen, finding)):
            log.info("%s: %d votes flagged", finding.detector, number)
            flagged += number
    return flagged


def _votes(seen: "Seen", finding: "Finding") -> list[UUID]:
    return [seen.rows[at].vote_id for at in finding.rows.tolist()]


def _suspicion(seen: "Seen", finding: "Finding", said: "Opinions") -> Suspicion:
    kind = finding.kind or Suspicion.Kind.VOTES
    return Suspicion(
        detector=finding.detector,
        kind=kind,
        code=_code(seen, finding, kind),
        way=finding.way,
        contestant_id=seen.models[finding.model] if finding.model >= 0 else None,
        statistic=finding.statistic,
        fisher=said.fisher,
        e_peak=said.e_peak,
        votes=0,
    )


def _code(seen: "Seen", finding: "Finding", kind: str) -> str:
    """The subject's name under a key; the same in every run."""
    row = seen.rows[int(finding.rows[0])]
    if kind == Suspicion.Kind.VOTER:
        return row.judge
    if kind == Suspicion.Kind.PREFIX:
        return f"{keyed_int('suspicion', kind, row.group):x}"
    if kind == Suspicion.Kind.PROMPT:  # a cluster is known by the prompt that it began with
        first = seen.rows[seen.votes.prompt.tolist().index(finding.code)]
        return f"{keyed_int('suspicion', kind, first.fingerprint):x}"
    days = f"{finding.code} d to " if kind == Suspicion.Kind.WINDOW else ""
    return f"{days}{clock.now():%Y-%m-%d}"


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])
