"""The operators' pages. Rows that only verbs may write are shown, not edited."""

from arena.admin import accounts, bans, battles, contestants, endpoints, moderation, pages, trail

__all__ = ["accounts", "bans", "battles", "contestants", "endpoints", "moderation", "pages", "trail"]
