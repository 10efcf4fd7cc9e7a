"""How fast and how reliably each model answers, from the stored replies of the last days; computed and kept with each board.

Never computed for a page: figures per model that move between two publications would tell a voter which model is working.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from arena import clock
from arena.models.battles import Origin

# Errors of a side that no model has caused: the person deleted the battle, the other side had failed, our worker died.
NOT_THE_MODEL = ("erased", "replaced", "crashed")
REPLIES = """
SELECT revision.contestant_id::text, count(*), count(*) FILTER (WHERE reply.state = 'failed' OR finish_reason = 'early'),
  count(*) FILTER (WHERE reply.attempt > 1),
  percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM first_token_at - reply.started_at)),
  percentile_cont(ARRAY[0.5, 0.05]) WITHIN GROUP (ORDER BY CASE WHEN tokens_out > 1 AND reply.finished_at > first_token_at
    THEN (tokens_out - 1) / extract(epoch FROM reply.finished_at - first_token_at) END)
FROM arena_reply reply JOIN arena_turn turn ON turn.id = reply.turn_id JOIN arena_battle battle ON battle.id = turn.battle_id
  JOIN arena_contestantrevision revision
    ON revision.id = CASE reply.side WHEN 'a' THEN battle.revision_a_id ELSE battle.revision_b_id END
WHERE reply.finished_at > %s AND reply.finished_at <= %s AND battle.origin = %s
  AND NOT (reply.state = 'failed' AND reply.error = ANY(%s))
GROUP BY 1 ORDER BY 1
"""


def measure(origin: str) -> dict[str, Any]:
    """The figures of an origin by contestant id, over the last settings.SERVICE_DAYS days.

    `first_token_s`: median and 95th percentile, from the start of generation to the first token; `tokens_per_s`: median and
    5th percentile after it; `failure_rate`: part of the replies that ended in an error or broke off. All three are null, with
    `why` = "few", below settings.SERVICE_LEAST replies. Other origins have no replies that were timed: `why` says so instead.
    """
    until = clock.now()
    told: dict[str, Any] = {"until": until.isoformat(timespec="seconds"), "days": settings.SERVICE_DAYS}
    told |= {"least": settings.SERVICE_LEAST, "why": None, "models": {}}
    if origin != Origin.LIVE:
        return told | {"why": "recorded" if origin == Origin.DEMO else "imported"}
    return told | {"models": _models(origin, until - timedelta(days=settings.SERVICE_DAYS), until)}


def _models(origin: str, since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(REPLIES, (since, until, origin, list(NOT_THE_MODEL)))
        rows = cursor.fetchall()
    return {key: _model(*figures) for key, *figures in rows}


def _model(
    replies: int, failed: int, again: int, first: list[float | None] | None, speed: list[float | None] | None
) -> dict[str, Any]:
    enough = replies >= settings.SERVICE_LEAST
    return {
        "replies": replies,
        "failed": failed,
        "again": again,
        "failure_rate": failed / replies if enough else None,
        "first_token_s": _both(first) if enough else None,
        "tokens_per_s": _both(speed) if enough else None,
        "why": None if enough else "few",
    }


def _both(ends: list[float | None] | None) -> list[float] | None:
    """None when no reply had the figure (all failed, or the endpoint counts no tokens)."""
    known = [float(end) for end in ends or [] if end is not None]
    return known if len(known) == 2 else None
