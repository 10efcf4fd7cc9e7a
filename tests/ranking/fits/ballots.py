"""Votes with categories, judges and style counts, many at once, and the boards that came of them."""

from arena.models import Contestant, VoteEvent
from ranking.fits.boards import Key
from ranking.models import BoardSnapshot, VoteStyle


def ballots(pair: list[Contestant], votes: int, origin: str = "live", **fields: object) -> list[VoteEvent]:
    """Votes without a visitor; every third is a tie, the first model wins twice as often as it loses."""
    choices = ("a", "a", "b", "tie", "a", "tie")
    made = [
        VoteEvent(
            contestant_a=pair[n % 2], contestant_b=pair[1 - n % 2], choice=choices[n % 6], origin=origin,
            **{name: value(n) if callable(value) else value for name, value in fields.items()},
        )
        for n in range(votes)
    ]  # fmt: skip
    return VoteEvent.objects.bulk_create(made)


def dress(votes: list[VoteEvent]) -> None:
    """The longer answer wins, mostly."""
    for n, vote in enumerate(votes):
        long, short = (300 + n, 100) if (vote.choice == "a") != (n % 5 == 0) else (100, 300 + n)
        VoteStyle.objects.create(
            event=vote, length_a=long, length_b=short, headers_a=n % 3, headers_b=n % 2,
            lists_a=n % 4, lists_b=n % 3, bold_a=n % 5, bold_b=n % 7,
        )  # fmt: skip


def newest(key: Key) -> BoardSnapshot:
    return BoardSnapshot.objects.filter(**key.columns).latest("fitted_at", "id")
