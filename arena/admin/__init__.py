"""The operators' pages. Rows that only verbs may write are shown, not edited."""

from arena.admin import battles, contestants, moderation, pages

__all__ = ["battles", "contestants", "moderation", "pages"]
