"""The web app's tables. Constraints are the rules; verbs (`arena/battles.py` and its siblings) are the only writers."""

from arena.models.bans import AddressKey, Ban
from arena.models.battles import Battle, Reply, Side, Turn
from arena.models.contestants import Contestant, ContestantRevision, PairWeight
from arena.models.conversations import Conversation, Message
from arena.models.moderation import Appeal, Enrichment, GateBlock, ModerationRecord, Report
from arena.models.operations import AuditEntry, Job
from arena.models.rating import ExpertLabel, RatingItem, RatingRound
from arena.models.site import Page, PageVersion, SiteConfig
from arena.models.visitors import Consent, Visitor
from arena.models.votes import Choice, Vote, VoteEvent

__all__ = [
    "AddressKey",
    "Appeal",
    "AuditEntry",
    "Ban",
    "Battle",
    "Choice",
    "Consent",
    "Contestant",
    "ContestantRevision",
    "Conversation",
    "Enrichment",
    "ExpertLabel",
    "GateBlock",
    "Job",
    "Message",
    "ModerationRecord",
    "Page",
    "PageVersion",
    "PairWeight",
    "RatingItem",
    "RatingRound",
    "Reply",
    "Report",
    "Side",
    "SiteConfig",
    "Turn",
    "Visitor",
    "Vote",
    "VoteEvent",
]
