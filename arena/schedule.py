"""What beat sends, and how often: the Celery schedule among the settings."""

from arena import bounds
from arena.env import Env

env = Env()


def clocked(task: str, seconds: float) -> dict[str, object]:
    """A beat entry. A message that nobody has read when the next ones are there does nothing: they must not pile up."""
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 10.0)}}


CELERY_BEAT_SCHEDULE = {
    "sweep-turns": clocked("arena.tasks.sweep", env.seconds("AGON_SWEEP_S", 5.0)),
    "expire-battles": clocked("arena.tasks.expire", 60.0),
    "refit-board": clocked("ranking.tasks.refit", bounds.REFIT_S),
    "resume-fit": clocked("ranking.tasks.resume", env.seconds("AGON_FIT_RESUME_S", 15.0)),
    "watch-votes": clocked("ranking.tasks.watch", env.seconds("AGON_WATCH_S", 300.0)),
    # Asks whether a moment of AGON_PUBLISH_S has come; a publication is never more than this late.
    "publish-board": clocked("ranking.tasks.publish", min(60.0, env.seconds("AGON_PUBLISH_S", 21_600.0) or 60.0)),
    "sweep-jobs": clocked("arena.tasks.sweep_jobs", env.seconds("AGON_JOB_SWEEP_S", 60.0)),
    "rotate-address-keys": clocked("arena.tasks.rotate_address_keys", 3600.0),
    "retention": clocked("arena.tasks.retain", 86_400.0) | {"relative": True},  # at 00:00 UTC
    "moderate-messages": clocked("arena.tasks.moderate", 60.0),
    "enrich-messages": clocked("arena.tasks.enrich_missing", 60.0),
    "live-ticker": clocked("arena.tasks.tick", env.seconds("AGON_LIVE_TICK_S", 10)),
    "operators-figures": clocked("arena.tasks.measure", env.seconds("AGON_LIVE_TICK_S", 10)),
}
