"""Why a conversation stays out of a release: short codes that releases count by, in the order in which the gate asks."""

from django.db import models
from django.utils.translation import gettext_lazy as _

ADMITTED = ""  # what the gate says of a battle that may leave, in place of a reason


class Drop(models.TextChoices):
    DEMO = "demo", _("synthetic battle of the demo")
    IMPORTED = "imported", _("came with an import")
    ERASED = "erased", _("deleted by its person")
    NO_VISITOR = "no_visitor", _("its person is gone")
    OPEN = "open", _("not finished yet")
    VOID = "void", _("taken out of the contest")
    NO_CONSENT = "no_consent", _("no consent on record")
    NOT_PUBLISHABLE = "not_publishable", _("consent to use, not to publish")
    WITHDRAWN = "withdrawn", _("consent to publish was withdrawn")
    VOTE_VOIDED = "vote_voided", _("its vote was taken out")
    CODENAME = "codename", _("a model is still under its codename")
    SYSTEM_PROMPT = "system_prompt", _("a system prompt breaks the rules")
    INCOMPLETE = "incomplete", _("an answer is missing")
    CUT = "cut", _("an answer was cut by a rule")
    REPORTED = "reported", _("a report waits for its decision")
    EMPTY = "empty", _("a message is empty")
    UNREADABLE = "unreadable", _("a message cannot be encoded")
    MINORS = "minors", _("sexual content about minors was found")
    BLOCKED = "blocked", _("blocked by a moderator")
    FLAGGED = "flagged", _("flagged")
    MODERATION_ERROR = "moderation_error", _("a moderation backend failed")
    MODERATION_STALE = "moderation_stale", _("moderated under another policy or text")
    MODERATION_MISSING = "moderation_missing", _("not moderated")
    MODERATION_PENDING = "moderation_pending", _("nobody who may pass it has looked")
    NOT_ENRICHED = "not_enriched", _("not searched for personal data")
    ENRICHED_STALE = "enriched_stale", _("searched by an older version, or at another text")
    PERSONAL_DATA = "personal_data", _("personal data was found")
