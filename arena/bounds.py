"""The plain numbers among the settings: how much, how many, how long. `arena/settings.py` takes all of them in.

Nothing here depends on where the site runs; docs/settings.md says what each of them does.
"""

from arena.env import Env

env = Env()

# --- Signs of life and operators' figures ---------------------------------------------------------------------------
HEARTBEAT_S = env.seconds("AGON_HEARTBEAT_S", 5)
METRICS_TRIES = env.number("AGON_METRICS_TRIES", 10, least=1)
READY_TIMEOUT_S = env.seconds("AGON_READY_TIMEOUT_S", 1.0)
OPS_HOUR_S = env.seconds("AGON_OPS_HOUR_S", 60)
HEARTBEAT_DEAD_S = env.seconds("AGON_HEARTBEAT_DEAD_S", 30)

# --- Streams of turns -----------------------------------------------------------------------------------------------
STREAM_MAXLEN = env.number("AGON_STREAM_MAXLEN", 8000, least=100)
STREAM_TTL_S = env.number("AGON_STREAM_TTL_S", 3600, least=60)
STREAM_DONE_TTL_S = env.number("AGON_STREAM_DONE_TTL_S", 60, least=1)
STREAM_TICK_S = env.seconds("AGON_STREAM_TICK_S", 0.05)
STREAM_TICK_MOST_S = env.seconds("AGON_STREAM_TICK_MOST_S", 0.09)
SSE_KEEPALIVE_S = env.seconds("AGON_SSE_KEEPALIVE_S", 10)
SSE_PER_VISITOR = env.number("AGON_SSE_PER_VISITOR", 32, least=1)

# --- What is known of each message ------------------------------------------------------------------------------------
ENRICH_BATCH = env.number("AGON_ENRICH_BATCH", 200, least=1)
ENRICH_LOOKBACK_S = env.number("AGON_ENRICH_LOOKBACK_S", 7 * 24 * 3600, least=60)
MODERATION_THRESHOLDS = env.shares("AGON_MODERATION_THRESHOLDS", "sexual/minors=0.2")
MODERATION_PER_MINUTE = env.number("AGON_MODERATION_PER_MINUTE", 60, least=1)
MODERATION_BATCH = env.number("AGON_MODERATION_BATCH", 32, least=1)
MODERATION_TIMEOUT_S = env.seconds("AGON_MODERATION_TIMEOUT_S", 10.0)
MODERATION_TRIES = env.number("AGON_MODERATION_TRIES", 2, least=1)
MODERATION_RETRY_AFTER_S = env.seconds("AGON_MODERATION_RETRY_AFTER_S", 5.0)
MODERATION_RUN_S = env.seconds("AGON_MODERATION_RUN_S", 20.0)
MODERATION_ATTEMPTS = env.number("AGON_MODERATION_ATTEMPTS", 12, least=1)  # spread over a day and a half
MODERATION_BACKOFF_S = env.seconds("AGON_MODERATION_BACKOFF_S", 60.0)

# --- Battles --------------------------------------------------------------------------------------------------------
PROMPT_MAX_CHARS = env.number("AGON_PROMPT_MAX_CHARS", 30_000, least=1)
MAX_TURNS = env.number("AGON_MAX_TURNS", 20, least=1)
OPEN_TURNS = env.number("AGON_OPEN_TURNS", 600, least=1)
OPEN_TURNS_PER_VISITOR = env.number("AGON_OPEN_TURNS_PER_VISITOR", 4, least=1)
TURN_LEASE_S = env.seconds("AGON_TURN_LEASE_S", 15)
TURN_CLAIMS = env.number("AGON_TURN_CLAIMS", 3, least=1)
SWEEP_AFTER_S = env.seconds("AGON_SWEEP_AFTER_S", 5)
DRAIN_S = env.seconds("AGON_DRAIN_S", 20)
REPLY_MAX_CHARS = env.number("AGON_REPLY_MAX_CHARS", 100_000, least=100)
HISTORY_PAGE = env.number("AGON_HISTORY_PAGE", 30, least=1)
BATTLE_TTL_S = env.number("AGON_BATTLE_TTL_S", 24 * 3600, least=60)
SAMPLING_FLOOR = env.share("AGON_SAMPLING_FLOOR", 0.1)
START_ALIGN_S = env.seconds("AGON_START_ALIGN_S", 2.0)
PACE_STALL_S = env.seconds("AGON_PACE_STALL_S", 3.0)

# --- Staff ----------------------------------------------------------------------------------------------------------
JOB_SILENT_S = env.seconds("AGON_JOB_SILENT_S", 300.0)
DESK_PAGE = env.number("AGON_DESK_PAGE", 50, least=1)
DESK_BULK = env.number("AGON_DESK_BULK", 150, least=1)
RATING_LOOKS = min(env.number("AGON_RATING_LOOKS", 40, least=1), 500)  # what the gate takes at once
RATING_UNDO_S = env.number("AGON_RATING_UNDO_S", 600, least=0)

# --- What is kept how long, in days (arena/retention.py) ---------------------------------------------------------------
KEEP_BLOCKED_DAYS = env.number("AGON_KEEP_BLOCKED_DAYS", 30, least=1)
KEEP_REPORTS_DAYS = env.number("AGON_KEEP_REPORTS_DAYS", 30, least=1)
KEEP_GROUPS_DAYS = env.number("AGON_KEEP_GROUPS_DAYS", 30, least=1)
KEEP_ABANDONED_DAYS = env.number("AGON_KEEP_ABANDONED_DAYS", 90, least=2)
KEEP_VISITORS_DAYS = env.number("AGON_KEEP_VISITORS_DAYS", 400, least=1)
KEEP_JOBS_DAYS = env.number("AGON_KEEP_JOBS_DAYS", 90, least=1)
RETENTION_BATCH = env.number("AGON_RETENTION_BATCH", 500, least=1)
RETENTION_BATCHES = env.number("AGON_RETENTION_BATCHES", 200, least=1)

# --- The watch on abuse of votes (docs/abuse.md) ------------------------------------------------------------------------
WATCH_BATCH = env.number("AGON_WATCH_BATCH", 5000, least=1)
WATCH_DAYS = env.number("AGON_WATCH_DAYS", 90, least=1)
WATCH_ROWS = env.number("AGON_WATCH_ROWS", 50_000, least=100)
SUSPICION_ALPHA = env.share("AGON_SUSPICION_ALPHA", 0.05)
SUSPICION_GROUP_ALPHA = env.share("AGON_SUSPICION_GROUP_ALPHA", 0.01)
SUSPICION_SWARM_ALPHA = env.share("AGON_SUSPICION_SWARM_ALPHA", 0.001)
SUSPICION_HETEROGENEITY = env.share("AGON_SUSPICION_HETEROGENEITY", 0.04)
SUSPICION_YOUNG = env.number("AGON_SUSPICION_YOUNG", 20, least=1)
SUSPICION_HISTORY = env.number("AGON_SUSPICION_HISTORY", 1000, least=1)
DUPLICATE_VOTES = env.number("AGON_DUPLICATE_VOTES", 10, least=1)
INFLUENCE_SHARE = env.share("AGON_INFLUENCE_SHARE", 0.02)
INFLUENCE_PREFIX_SHARE = env.share("AGON_INFLUENCE_PREFIX_SHARE", 0.05)
INFLUENCE_LEAST = env.number("AGON_INFLUENCE_LEAST", 50, least=1)

# --- The board and what is broadcast --------------------------------------------------------------------------------
ABSORB_BATCH = env.number("AGON_ABSORB_BATCH", 2000, least=1)
ABSORB_BATCHES = env.number("AGON_ABSORB_BATCHES", 500, least=1)
RECEIPTS_WAITING = env.number("AGON_RECEIPTS_WAITING", 20_000, least=1)
LABEL_BATCH = env.number("AGON_LABEL_BATCH", 500, least=1)
LONG_PROMPT_CHARS = env.number("AGON_LONG_PROMPT_CHARS", 2000, least=1)
SHORT_PROMPT_CHARS = env.number("AGON_SHORT_PROMPT_CHARS", 100, least=1)
BOARD_SNAPSHOTS_KEPT = env.number("AGON_BOARD_SNAPSHOTS_KEPT", 24, least=1)
SERVICE_DAYS = env.number("AGON_SERVICE_DAYS", 30, least=1)
SERVICE_LEAST = env.number("AGON_SERVICE_LEAST", 20, least=1)
LOG_DELAY_S = env.seconds("AGON_LOG_DELAY_S", 7 * 24 * 3600.0)
LOG_BATCH_S = env.seconds("AGON_LOG_BATCH_S", 24 * 3600.0)
PUBLISH_S = env.seconds("AGON_PUBLISH_S", 6 * 3600.0)
BOARD_REPLICATES = env.number("AGON_BOARD_REPLICATES", 1000, least=100)
REFIT_S = env.seconds("AGON_REFIT_S", 300.0)
REFIT_BUDGET_S = env.seconds("AGON_REFIT_BUDGET_S", 150)
FIT_RETRIES = env.number("AGON_FIT_RETRIES", 3, least=0)  # at once, of a run that was killed
CATEGORY_VOTES = env.number("AGON_CATEGORY_VOTES", 100, least=1)
THIN_VOTES = env.number("AGON_THIN_VOTES", 2000)
STYLE_VOTES = env.number("AGON_STYLE_VOTES", 200, least=1)
STYLE_VOTES_MOST = env.number("AGON_STYLE_VOTES_MOST", 2_000_000, least=1)
STREAM_VOTES = env.number("AGON_STREAM_VOTES", 1_000_000)
BOARD_HISTORY_RECENT = env.number("AGON_BOARD_HISTORY_RECENT", 200, least=1)
BOARD_HISTORY_DAYS = env.number("AGON_BOARD_HISTORY_DAYS", 1830, least=1)
LIVE_TICK_S = env.seconds("AGON_LIVE_TICK_S", 10)
LIVE_SOCKETS = env.number("AGON_LIVE_SOCKETS", 2000, least=1)
LIVE_OPS_PROBE_S = env.seconds("AGON_LIVE_OPS_PROBE_S", 1.0)

# --- Limits: bursts and refills per visitor and per IP prefix; what a request may be ----------------------------------
ADDRESS_KEY_DAYS = env.number("AGON_ADDRESS_KEY_DAYS", 30, least=1)
LIMIT_VISITOR_BURST = env.number("AGON_LIMIT_VISITOR_BURST", 10, least=1)
LIMIT_VISITOR_PER_MINUTE = env.number("AGON_LIMIT_VISITOR_PER_MINUTE", 6, least=1)
LIMIT_PREFIX_BURST = env.number("AGON_LIMIT_PREFIX_BURST", 60, least=1)
LIMIT_PREFIX_PER_MINUTE = env.number("AGON_LIMIT_PREFIX_PER_MINUTE", 60, least=1)
PUZZLE_BITS = env.number("AGON_PUZZLE_BITS", 17)
PUZZLE_TTL_S = env.number("AGON_PUZZLE_TTL_S", 120, least=1)
PUZZLE_BURST = env.number("AGON_PUZZLE_BURST", 5, least=1)
PUZZLE_PER_MINUTE = env.number("AGON_PUZZLE_PER_MINUTE", 10, least=1)
LOGIN_PREFIX_BURST = env.number("AGON_LOGIN_PREFIX_BURST", 20, least=1)
LOGIN_PREFIX_PER_MINUTE = env.number("AGON_LOGIN_PREFIX_PER_MINUTE", 6, least=1)
LOGIN_NAME_BURST = env.number("AGON_LOGIN_NAME_BURST", 10, least=1)
LOGIN_NAME_PER_MINUTE = env.number("AGON_LOGIN_NAME_PER_MINUTE", 2, least=1)
API_BURST = env.number("AGON_API_BURST", 60, least=1)
API_PER_MINUTE = env.number("AGON_API_PER_MINUTE", 120, least=1)
API_MAX_AGE_S = env.number("AGON_API_MAX_AGE_S", 60)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.number("AGON_MAX_BODY_BYTES", 1_000_000, least=1000)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
WEB_HEAD_S = env.seconds("AGON_WEB_HEAD_S", 10)
WEB_HEAD_BYTES = env.number("AGON_WEB_HEAD_BYTES", 32_768, least=1024)
WEB_HEADERS = env.number("AGON_WEB_HEADERS", 100, least=10)
WEB_BODY_S = env.seconds("AGON_WEB_BODY_S", 60)
WEB_CONNECTIONS = env.number("AGON_WEB_CONNECTIONS", 8000, least=10)
WEB_AT_ONCE = env.number("AGON_WEB_AT_ONCE", 4, least=1)
WEB_PROCESSES = env.number("AGON_WEB_PROCESSES", 1, least=1)

# --- Releases -------------------------------------------------------------------------------------------------------
RELEASE_SHARD_ROWS = env.number("AGON_RELEASE_SHARD_ROWS", 200_000, least=1)
RELEASE_GROUP_ROWS = env.number("AGON_RELEASE_GROUP_ROWS", 5000, least=1)
RELEASE_GROUP_BYTES = env.number("AGON_RELEASE_GROUP_BYTES", 64_000_000, least=1000)
RELEASE_DOWNLOADS = env.number("AGON_RELEASE_DOWNLOADS", 200, least=1)
RELEASE_BATCH = env.number("AGON_RELEASE_BATCH", 200, least=1)  # battles; the gate takes at most 500

# --- Dispatch ----------------------------------------------------------------------------------------------------------
DISPATCH = {  # see inference.dispatch.DispatchLimits
    "waiting_per_client": env.number("AGON_DISPATCH_WAITING_PER_CLIENT", 8, least=1),
    "waiting": env.number("AGON_DISPATCH_WAITING", 512, least=1),
    "attempts": env.number("AGON_DISPATCH_ATTEMPTS", 4, least=1),
    "rate_retries": env.number("AGON_DISPATCH_RATE_RETRIES", 2),
    "retry_after_s": env.seconds("AGON_DISPATCH_RETRY_AFTER_S", 20.0),
    "refresh_s": env.seconds("AGON_DISPATCH_REFRESH_S", 5.0),
    "failures": env.number("AGON_DISPATCH_FAILURES", 3, least=1),
    "circuit_s": env.seconds("AGON_DISPATCH_CIRCUIT_S", 2.0),
    "circuit_most_s": env.seconds("AGON_DISPATCH_CIRCUIT_MOST_S", 60.0),
}
