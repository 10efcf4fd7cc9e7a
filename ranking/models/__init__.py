"""What the ranking keeps: absorbed counts, the boards that were fitted from them, and what was noticed on the way."""

from ranking.models.boards import BoardHistory, BoardSnapshot, BoardTrouble, FitRun
from ranking.models.counts import IMPORT, JudgeCount, PairCount, VoteImport, VoteLabel, VoteStyle
from ranking.models.people import AgreementReport, Suspicion
from ranking.votelog.models import LogEntry, PublishingState, SealingState, WithheldEntry

__all__ = [
    "IMPORT",
    "AgreementReport",
    "BoardHistory",
    "BoardSnapshot",
    "BoardTrouble",
    "FitRun",
    "JudgeCount",
    "LogEntry",
    "PairCount",
    "PublishingState",
    "SealingState",
    "Suspicion",
    "VoteImport",
    "VoteLabel",
    "VoteStyle",
    "WithheldEntry",
]
