"""Votes as columns: the rule of what counts, said in SQL, is the rule of `contributions.counted`."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from arena.clock import now
from arena.models import Contestant, VoteEvent
from arena.models.votes import Choice, EventKind
from ranking import counts
from ranking.counting.contributions import counted
from ranking.fits import streams
from ranking.fits.boards import Key
from ranking.models import VoteStyle
from tests.ranking import rows

pytestmark = pytest.mark.django_db
CATEGORIES = ["", "en", "code"]
OUTCOMES = {"a": 0, "b": 1, "tie": 2, "both_bad": 3}


def history(models: list[Contestant], rng: random.Random, votes: int) -> None:
    """Casts with up to three later events each, in any order, some of one moment."""
    for _ in range(votes):
        a, b = rng.sample(models, 2)
        made = rows.cast(
            a,
            b,
            rng.choice(list(OUTCOMES)),
            ranked=rng.random() < 0.9,
            judge=rng.choice(["", "x" * 32, "y" * 32]),
            categories=rng.sample(CATEGORIES[1:], rng.randrange(3)),
        )
        for _later in range(rng.randrange(4)):
            kind = rng.choice([EventKind.FLAG, EventKind.UNFLAG, EventKind.RECATEGORISE, EventKind.VOID])
            rows.follow(
                made,
                kind,
                categories=rng.sample(CATEGORIES[1:], rng.randrange(3)),
                created_at=made.created_at + timedelta(seconds=rng.randrange(3)),
            )
    counts.absorb()


def expected(models: list[str], category: str, without: set[object]) -> Counter[tuple[int, int, int, bool]]:
    """By the rule in Python: positions, outcome from A, and whether the judge is known."""
    told: Counter[tuple[int, int, int, bool]] = Counter()
    for cast in VoteEvent.objects.filter(kind=EventKind.CAST, origin="live"):
        events = [event for event in VoteEvent.objects.filter(vote=cast.vote) if event.pk not in without]
        vote = counted(events)
        if vote and category in ("", *vote.categories):
            places = (models.index(str(cast.contestant_a_id)), models.index(str(cast.contestant_b_id)))
            told[*places, OUTCOMES[cast.choice], bool(cast.judge)] += 1
    return told


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_votes_are_those_that_count(seed: int, share: float) -> None:
    rng = random.Random(seed)
    models = rows.contestants(4)
    history(models, rng, 40)
    ids = sorted(str(model.pk) for model in models)
    later = list(VoteEvent.objects.exclude(kind=EventKind.CAST).values_list("pk", flat=True))
    hidden = rng.sample(later, int(share * len(later)))
    for category in CATEGORIES:
        read = streams.votes(Key("live", category), ids, hidden)
        columns = (read[name].tolist() for name in ("a", "b", "outcome", "judge"))
        told = Counter((a, b, outcome, judge >= 0) for a, b, outcome, judge in zip(*columns, strict=True))
        assert told == expected(ids, category, set(hidden)), category


def test_only_absorbed_events_are_read_and_in_the_order_of_the_casts() -> None:
    a, b = rows.contestants(2)
    moment = now()
    for days, choice in ((2, "tie"), (3, "a"), (1, "b")):
        rows.cast(a, b, choice, created_at=moment - timedelta(days=days))
    counts.absorb()
    rows.cast(a, b, "both_bad")
    read = streams.votes(Key("live"), [str(a.pk), str(b.pk)])
    assert read["outcome"].tolist() == [0, 2, 1]
    assert read["moment"].tolist() == [round((moment - timedelta(days=days)).timestamp()) for days in (3, 2, 1)]


def test_no_votes_are_empty_columns() -> None:
    assert {name: len(column) for name, column in streams.votes(Key("live"), []).items()} == dict.fromkeys(
        ("a", "b", "outcome", "judge", "moment"), 0
    )
    assert list(streams.styled(Key("live"), [], 10)) == []


def test_counts_by_judge_are_the_judges_of_the_votes() -> None:
    models = rows.contestants(3)
    history(models, random.Random(9), 60)
    ids = sorted(str(model.pk) for model in models)
    votes, judged = streams.votes(Key("live"), ids), streams.judges("live", ids)
    turned = {0: 1, 1: 0, 2: 2, 3: 3}
    by_vote: Counter[tuple[int, ...]] = Counter()
    for a, b, outcome, judge in zip(*(votes[name].tolist() for name in ("a", "b", "outcome", "judge")), strict=True):
        by_vote[(a, b, outcome, judge) if a < b else (b, a, turned[outcome], judge)] += 1
    names = ("a", "b", "outcome", "judge", "count")
    assert by_vote == Counter(
        {tuple(key): count for *key, count in zip(*(judged[n].tolist() for n in names), strict=True)}
    )


def styled(vote: VoteEvent, **counts_of: int) -> None:
    names = [f"{feature}_{side}" for side in "ab" for feature in streams.FEATURES]
    VoteStyle.objects.create(event=vote, **(dict.fromkeys(names, 0) | counts_of))


def test_styled_votes_come_with_their_counts_the_newest_of_them() -> None:
    a, b = rows.contestants(2)
    first, second, third = (rows.cast(a, b, choice) for choice in (Choice.A, Choice.B, Choice.TIE))
    styled(first, length_a=10, bold_b=3)
    styled(third, length_a=20, lists_a=2)
    counts.absorb()
    ids = [str(a.pk), str(b.pk)]
    (part,) = streams.styled(Key("live"), ids, 10)
    assert part["length_a"].tolist() == [20, 10] and part["bold_b"].tolist() == [0, 3]
    assert (part["lists_a"].tolist(), part["outcome"].tolist()) == ([2, 0], [2, 0])
    (newest,) = streams.styled(Key("live"), ids, 1)
    assert newest["length_a"].tolist() == [20]
    rows.follow(third, "void")
    counts.absorb()
    (left,) = streams.styled(Key("live"), ids, 10)
    assert left["length_a"].tolist() == [10] and second.pk


def test_many_votes_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranking.fits.columns.ROWS", 7)
    a, b = rows.contestants(2)
    rows.ballot(a, b, wins=30, losses=21, ties=12)
    counts.absorb()
    for vote in VoteEvent.objects.all():
        styled(vote, length_a=5)
    ids = [str(a.pk), str(b.pk)]
    assert Counter(streams.votes(Key("live"), ids)["outcome"].tolist()) == {0: 30, 1: 21, 2: 12}
    parts = list(streams.styled(Key("live"), ids, 1000))
    assert len(parts) > 1 and sum(len(part) for part in parts) == 63
