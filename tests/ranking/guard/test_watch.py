"""S13, S15, S16 and S17 in the product: the watch finds, flags, writes down, and can be told that it was wrong."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from arena import voiding
from arena.models import AuditEntry, Vote, VoteEvent
from ranking import counts, tasks
from ranking.guard import watch
from ranking.models import PairCount, Suspicion
from tests.ranking import rows
from tests.ranking.crowds import Said, Town, flagged, visitors

pytestmark = pytest.mark.django_db


def test_a_rigger_loses_every_vote_and_an_honest_person_none(
    town: Town, queued: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    rigger, honest = visitors(2)
    early = town.cast(town.votes(rigger, 6, hours_ago=24 * 120))  # long before the watch's memory
    town.cast(town.votes(honest, 60))
    bought = town.cast(town.votes(rigger, 40, target=5))
    before = sum(rows.stored("live").values())
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.watch() == 46
    assert flagged() == {vote.pk for vote in [*early, *bought]}
    assert queued == [], (
        "a fit off the schedule seals waiting votes: their receipts would tell that something was noticed"
    )
    counts.absorb()
    assert sum(rows.stored("live").values()) == before - 46
    suspicion = Suspicion.objects.get()
    assert (suspicion.detector, suspicion.kind, suspicion.way) == ("attackers", "voter", "promote")
    assert suspicion.contestant == town.contestants[5] and suspicion.votes == 46
    assert VoteEvent.objects.filter(kind="flag", reason="attackers").count() == 46
    entry = AuditEntry.objects.get(action="flag")
    assert (entry.actor_name, entry.after["votes"]) == ("system", 46)


def test_whoever_is_flagged_stays_flagged_with_the_next_vote(town: Town, queued: list[str]) -> None:
    [rigger] = visitors(1)
    town.cast(town.votes(rigger, 40, target=5))
    assert watch.run() == 40 and watch.run() == 0
    counts.absorb()
    town.cast(town.votes(rigger, 1))
    assert watch.run() == 1
    assert Suspicion.objects.get().votes == 41


def test_fresh_visitors_with_one_vote_each_are_seen_by_the_prefix_they_share(town: Town, queued: list[str]) -> None:
    honest = visitors(40)
    kept = town.cast([one for person in honest for one in town.votes(person, 1, group="k-office")])
    bought = town.cast([one for person in visitors(40) for one in town.votes(person, 1, target=5, group="k-farm")])
    watch.run()
    assert {vote.pk for vote in bought} <= flagged()
    assert not flagged() & {vote.pk for vote in kept}
    found = Suspicion.objects.get(detector="attackers")
    assert found.kind == "prefix" and "farm" not in found.code


def test_or_by_the_prompt_they_share(town: Town, queued: list[str], settings: Any) -> None:
    settings.DUPLICATE_VOTES = 1000
    bought = town.cast(
        [
            one
            for person in visitors(40)
            for one in town.votes(person, 1, target=5, prompt="Who is the best of you two?")
        ]
    )
    watch.run()
    assert {vote.pk for vote in bought} <= flagged()
    assert Suspicion.objects.get(detector="attackers").kind == "prompt"


def test_or_by_nothing_but_what_they_want(town: Town, queued: list[str]) -> None:
    """Each with a prefix and a prompt of his own: seen together, as a campaign; its battles are quarantined."""
    kept = town.cast([one for n, person in enumerate(visitors(200)) for one in town.votes(person, 1, group=f"k-h{n}")])
    bought = town.cast(
        [one for n, person in enumerate(visitors(150)) for one in town.votes(person, 1, target=5, group=f"k-{n}")]
    )
    watch.run()
    assert {vote.pk for vote in bought} <= flagged()
    campaigns = Suspicion.objects.filter(detector="swarm")
    assert town.contestants[5] in {one.contestant for one in campaigns}
    spared = [v for v in kept if v.pk not in flagged()]
    assert len(spared) >= 60, "battles of other models stay"


def test_a_flood_of_one_prompt_counts_up_to_the_cap(town: Town, queued: list[str], settings: Any) -> None:
    settings.DUPLICATE_VOTES = 4
    said = [
        Said(
            0,
            1,
            town.honest(0, 1),
            person,
            prompt=f"Write a short poem about the sea and ships in winter {n}",
            hours_ago=2,
        )
        for n, person in enumerate(visitors(12))
    ]
    said.append(Said(0, 2, "a", said[0].visitor, prompt="Write a short poem about the sea and ships in winter"))
    votes = town.cast(said)
    assert watch.run() == 8
    assert flagged() == {vote.pk for vote in votes[4:12]}
    assert set(VoteEvent.objects.filter(kind="flag").values_list("reason", flat=True)) == {"duplicate"}


def test_votes_that_were_not_read_and_votes_of_programs(town: Town, queued: list[str]) -> None:
    person, program, quick = visitors(3)
    votes = town.cast(
        [
            *town.votes(person, 2),
            *town.votes(program, 1, machine=True),
            *town.votes(quick, 1, seconds=0.5),  # lengths unknown: a snap vote alone is no reason
        ]
    )
    assert watch.run() == 1
    assert flagged() == {votes[2].pk}
    assert Suspicion.objects.get().kind == "votes"


def test_one_persons_part_in_a_model_is_capped(town: Town, queued: list[str], settings: Any) -> None:
    settings.INFLUENCE_LEAST, settings.INFLUENCE_SHARE = 20, 0.001
    [fan] = visitors(1)
    said = [Said(0, 1 + n % 5, town.honest(0, 1 + n % 5), fan) for n in range(30)]
    votes = town.cast(said)
    watch.run()
    kept = [vote for vote in votes if vote.pk not in flagged()]
    assert len(kept) == 20
    assert set(VoteEvent.objects.filter(kind="flag").values_list("reason", flat=True)) == {"cap"}


def test_every_bound_of_the_rules_is_a_setting(settings: Any) -> None:
    names = {
        "alpha": "SUSPICION_ALPHA", "group_alpha": "SUSPICION_GROUP_ALPHA", "swarm_alpha": "SUSPICION_SWARM_ALPHA",
        "heterogeneity": "SUSPICION_HETEROGENEITY", "young": "SUSPICION_YOUNG", "history": "SUSPICION_HISTORY",
        "duplicates": "DUPLICATE_VOTES", "share": "INFLUENCE_SHARE", "prefix_share": "INFLUENCE_PREFIX_SHARE",
        "share_least": "INFLUENCE_LEAST",
    }  # fmt: skip
    for number, name in enumerate(names.values()):
        setattr(settings, name, 1000 + number)
    rules = watch.rules()
    assert [getattr(rules, field) for field in names] == list(range(1000, 1010))


def test_nobody_is_judged_by_a_history_of_nothing(queued: list[str]) -> None:
    town = Town.of(size=3, past=400)  # 800 battles each
    [rigger] = visitors(1)
    town.cast(town.votes(rigger, 30, target=2))
    assert watch.run() == 0 and not Suspicion.objects.exists()


def test_a_new_model_is_nobodys_campaign(town: Town, queued: list[str]) -> None:
    """Twice as strong as the best, and everybody says so, the newcomers in a crowd, and two regulars often."""
    town.contestants += rows.contestants(1)
    town.theta = np.append(town.theta, 2.5)
    said = [one for person in visitors(150) for one in town.votes(person, 2)]
    said += [Said(6, n % 6, town.honest(6, n % 6), person) for person in visitors(2) for n in range(20)]
    town.cast(said)
    watch.run()
    assert len(flagged()) <= 0.05 * len(said)
    assert not Suspicion.objects.filter(contestant=town.contestants[6]).exists()


def test_honest_crowds_are_left_alone(town: Town, queued: list[str]) -> None:
    """60 people with 25 votes each, and 200 with two; nominal 5 % for the former, .1 % for the crowd."""
    people = [*visitors(60), *visitors(200)]
    said = [
        one for n, person in enumerate(people) for one in town.votes(person, 25 if n < 60 else 2, group=f"k-{n % 90}")
    ]
    town.cast(said)
    watch.run()
    assert len(flagged()) / len(said) <= 0.05
    assert not Suspicion.objects.filter(detector__in=("swarm", "cap", "duplicate", "haste")).exists()


def test_only_one_watch_at_a_time_and_each_vote_once(town: Town, queued: list[str], settings: Any) -> None:
    settings.WATCH_BATCH = 5
    [person] = visitors(1)
    town.cast(town.votes(person, 12))
    for left in (7, 2, 0, 0):
        watch.run()
        assert Vote.objects.filter(watched=False).count() == left


def test_what_was_voided_is_no_business_of_the_watch(town: Town, queued: list[str]) -> None:
    [rigger] = visitors(1)
    town.cast(town.votes(rigger, 40, target=5))
    voiding.void_votes_of(rigger, None, "by hand")
    assert watch.run() == 0
    counts.absorb()
    assert PairCount.objects.filter(count__lt=0).count() == 0


@pytest.mark.parametrize(
    "module", ["ranking.guard.watch", "ranking.guard.suspicions", "ranking.tasks", "arena.flagging"]
)
def test_the_web_process_could_import_it_without_numpy(module: str) -> None:
    code = f"import sys, django; django.setup(); import {module}; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("bot", ["a", "b", "tie", "random", "anti-strong", "fan"])
def test_bots_are_flagged_within_120_votes(town: Town, queued: list[str], bot: str) -> None:
    """S16."""
    [program] = visitors(1)
    said = town.votes(program, 120)
    for one in said:
        weaker = "a" if town.theta[one.a] < town.theta[one.b] else "b"
        fan = "a" if one.a == 5 else "b" if one.b == 5 else one.choice
        drawn = str(town.rng.choice(("a", "b", "tie")))
        one.choice = {"random": drawn, "anti-strong": weaker, "fan": fan}.get(bot, bot)
    town.cast(said)
    assert watch.run() == 120


@pytest.mark.django_db(transaction=True)
def test_a_second_watch_steps_aside(queued: list[str]) -> None:
    made = rows.contestants(2)
    rows.cast(made[0], made[1], "a")

    def run() -> int:
        try:
            return Vote.objects.filter(watched=False).count() + watch.run()
        finally:
            connection.close()

    with transaction.atomic():
        assert watch._alone()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(run).result() == 1
        assert Vote.objects.filter(watched=False).count() == 1, "it has looked at nothing"
    watch.run()
    assert not Vote.objects.filter(watched=False).exists()
