"""The operators' pages. Rows that only verbs may write are shown, not edited."""

from arena.admin import accounts, bans, battle_page, battles, contestants, endpoints, jobs, moderation, pages, trail

__all__ = [
    "accounts",
    "bans",
    "battle_page",
    "battles",
    "contestants",
    "endpoints",
    "jobs",
    "moderation",
    "pages",
    "trail",
]
