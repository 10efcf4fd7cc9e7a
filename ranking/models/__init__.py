"""What the ranking keeps: absorbed counts, the boards that were fitted from them, and what was noticed on the way."""

from ranking.models.boards import BoardHistory, BoardSnapshot, BoardTrouble
from ranking.models.counts import IMPORT, JudgeCount, PairCount, VoteImport, VoteLabel, VoteStyle
from ranking.models.people import AgreementReport, Suspicion
from ranking.votelog.models import LogEntry, PublishingState, WithheldEntry

__all__ = [
    "IMPORT",
    "AgreementReport",
    "BoardHistory",
    "BoardSnapshot",
    "BoardTrouble",
    "JudgeCount",
    "LogEntry",
    "PairCount",
    "PublishingState",
    "Suspicion",
    "VoteImport",
    "VoteLabel",
    "VoteStyle",
    "WithheldEntry",
]
