"""The web app's tables. Constraints are the rules; verbs (`arena/battles.py` and its siblings) are the only writers."""

from arena.models.battles import Battle, Reply, Side, Turn
from arena.models.contestants import Contestant, ContestantRevision, PairWeight
from arena.models.conversations import Conversation, Message
from arena.models.moderation import Appeal, GateBlock, Report
from arena.models.site import Page, PageVersion, SiteConfig
from arena.models.visitors import Consent, Visitor
from arena.models.votes import Choice, Vote, VoteEvent

__all__ = [
    "Appeal",
    "Battle",
    "Choice",
    "Consent",
    "Contestant",
    "ContestantRevision",
    "Conversation",
    "GateBlock",
    "Message",
    "Page",
    "PageVersion",
    "PairWeight",
    "Reply",
    "Report",
    "Side",
    "SiteConfig",
    "Turn",
    "Visitor",
    "Vote",
    "VoteEvent",
]
