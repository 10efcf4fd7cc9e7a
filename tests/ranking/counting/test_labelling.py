"""Votes get their categories and style once their messages are enriched, and once per version."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command

from arena import battles, clock, erasure, voiding, votes
from arena.models import Enrichment, Job, Message
from arena.models.operations import JobState
from arena.moderation import enrichment
from ranking import counts
from ranking.counting import labelling
from ranking.models import VoteStyle
from tests import factories
from tests.factories import outcome
from tests.ranking import rows
from tests.ranking.counting.labelled import CODE, categories, enrich, kinds, voted
from tests.ranking.side_by_side import threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "no_broker")]


def test_a_vote_is_labelled_when_its_messages_are_enriched_and_only_once() -> None:
    battle = voted()
    assert labelling.sweep() == 0 and kinds(battle) == ["cast"]
    enrich()
    assert labelling.sweep() == 1
    assert categories(battle) == ["code", "german", "short_prompt"]
    style = VoteStyle.objects.get()
    assert (style.length_a, style.headers_a, style.lists_a, style.bold_a) == (len(CODE), 1, 1, 1)
    assert (style.length_b, style.headers_b, style.version) == (len("```\nx\n```"), 0, labelling.version())
    assert labelling.sweep() == 0 and kinds(battle) == ["cast", "recategorise"]
    counts.absorb()
    assert {key[1] for key in rows.stored("live")} == {"", "code", "german", "short_prompt"} and rows.agree("live")


def test_messages_after_the_vote_are_not_looked_at() -> None:
    battle = voted()
    turn = battles.send(battle, "```\ncode\n```" * 200, uuid4(), "g")
    factories.finish(turn, a=outcome("later " * 50), b=outcome("later"))
    enrich()
    labelling.sweep()
    assert categories(battle) == ["code", "german", "short_prompt"]
    assert VoteStyle.objects.get().length_a == len(CODE)


def test_several_turns_and_empty_answers() -> None:
    battle = factories.finish(factories.started(prompt="x = 1"), a=outcome("One."), b=outcome("Two."))
    battle = factories.finish(battles.send(battle, "y = 2", uuid4(), "g"), a=outcome("Three!"), b=outcome("Four"))
    Message.objects.filter(text="Four").update(text="")
    votes.cast_vote(battle.pk, "b", 2)
    enrich()
    assert labelling.sweep() == 1
    assert categories(battle) == ["multi_turn", "short_prompt"]
    style = VoteStyle.objects.get()
    assert (style.length_a, style.length_b) == (10, 4)


def test_bounds_are_settings_and_a_change_labels_anew(settings: object) -> None:
    battle = voted()
    enrich()
    labelling.sweep()
    settings.SHORT_PROMPT_CHARS, settings.LONG_PROMPT_CHARS = 5, 40  # type: ignore[attr-defined]
    assert labelling.sweep() == 1
    assert categories(battle) == ["code", "german", "long_prompt"] and kinds(battle) == [
        "cast",
        "recategorise",
        "recategorise",
    ]


def test_a_new_version_of_the_detectors_is_waited_for_and_then_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = voted()
    enrich()
    labelling.sweep()
    monkeypatch.setattr(enrichment, "VERSION", "later")
    assert labelling.sweep() == 0
    enrich()
    Enrichment.objects.filter(message__role="user").update(language="fr")
    assert labelling.sweep() == 1
    assert categories(battle) == ["code", "french", "short_prompt"] and VoteStyle.objects.count() == 1


def test_the_same_labels_again_write_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = voted()
    enrich()
    labelling.sweep()
    monkeypatch.setattr(labelling.labels, "VERSION", "later")
    assert labelling.sweep() == 1 and kinds(battle) == ["cast", "recategorise"]


def test_erased_and_unranked_votes_are_left_alone() -> None:
    erased, plain = voted(), factories.finish(factories.started(), a=outcome("Half", "early"), b=outcome("x"))
    votes.cast_vote(plain.pk, "a", 1)
    erasure.erase_battle(erased)
    enrich()
    assert labelling.sweep() == 0 and not VoteStyle.objects.exists()


def test_a_void_vote_is_labelled_and_stays_void() -> None:
    battle = voted()
    voiding.void_battle(battle, None, "test")
    enrich()
    assert labelling.sweep() == 1
    counts.absorb()
    assert rows.stored("live") == {} and rows.agree("live")


def test_votes_from_before_the_sweep_looks_are_found_by_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = voted()
    enrich()
    soon = clock.now() + timedelta(days=30)
    monkeypatch.setattr(clock, "now", lambda: soon)
    assert labelling.sweep() == 0 and not Job.objects.filter(kind=labelling.KIND).exists(), (
        "history is not enriched yet"
    )
    Job.objects.create(kind=enrichment.KIND, state=JobState.DONE, arguments={"version": enrichment.VERSION})
    labelling.sweep()
    job = Job.objects.get(kind=labelling.KIND)
    assert labelling.see_to_history() is None, "one job per version"
    assert labelling.run(job.pk) == 1 and labelling.run(job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.done, job.message) == (JobState.DONE, 1, "1 votes labelled")
    assert categories(battle) == ["code", "german", "short_prompt"]


def test_the_command_labels_everything_and_says_so() -> None:
    voted()
    out = StringIO()
    call_command("label_votes", stdout=out)
    enrich()
    call_command("label_votes", stdout=out)
    assert out.getvalue().splitlines() == [
        "labelled 0 votes; 1 wait for detectors or are erased", "labelled 1 votes; 0 wait for detectors or are erased",
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_many_at_once_write_one_event_per_vote() -> None:
    found = [voted() for _ in range(4)]
    enrich()
    threads(*[lambda: labelling.label_all()] * 4)
    labelling.label_all()
    assert [kinds(battle) for battle in found] == [["cast", "recategorise"]] * 4
    assert VoteStyle.objects.count() == 4
