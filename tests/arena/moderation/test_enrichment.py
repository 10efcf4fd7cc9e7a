"""Enrichment: once per message, version and text; safe when called at once; lost work is found; history is re-checked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from kombu.exceptions import OperationalError

from arena import clock, erasure, jobs
from arena.clock import now
from arena.models import Conversation, Enrichment, Job, Message, ModerationRecord
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.models.operations import JobState
from arena.moderation import backfill, detection, enrichment, policy, verdicts
from arena.moderation.enrichment import VERSION, enrich
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
PERSONAL = "Schreib an anna.karlsson@example.org, bitte."


def messages() -> list[Message]:
    return list(Message.objects.order_by("pk"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let minutes pass."""

    def move(minutes: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=minutes))

    return move


def test_prompts_and_answers_of_a_turn_are_enriched() -> None:
    battle = factories.finish(factories.started(prompt="Why is the sky blue?"), a=factories.outcome(PERSONAL))
    assert enrichment.enrich_turn(battle.turns.get().pk) == 4
    found = Enrichment.objects.get(message__text=PERSONAL)
    assert (found.version, found.language, found.language_name) == (VERSION, "de", "German")
    assert found.text_sha256 == verdicts.text_sha256(PERSONAL)
    assert found.pii == [["email", 11, 36]]
    assert (found.chars, found.words, found.headers, found.lists, found.bold) == (len(PERSONAL), 4, 0, 0, 0)
    assert len(found.fingerprint) == 64 and found.simhash
    prints = set(Enrichment.objects.filter(message__role="user").values_list("fingerprint", flat=True))
    assert len(prints) == 1, "both sides were asked the same"
    assert {r.standing for r in ModerationRecord.objects.all()} == {Standing.PENDING}
    assert ModerationRecord.objects.count() == 4


def test_rules_flag_and_never_pass() -> None:
    battle = factories.ready(a=factories.outcome("If you want to die, please call somebody."))
    enrich(messages())
    record = ModerationRecord.objects.get(message__text__startswith="If you")
    assert (record.standing, record.categories, record.policy) == (
        Standing.FLAGGED,
        ["self_harm"],
        policy.load().version,
    )
    battle.refresh_from_db()
    assert battle.conversation_a.verdict == Verdict.FLAGGED
    assert battle.conversation_b.verdict == Verdict.PENDING


def test_a_second_call_does_nothing(django_assert_max_num_queries: object, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready()
    assert enrich(messages()) == 4
    before = list(Enrichment.objects.values_list("created_at", flat=True))
    monkeypatch.setattr(detection, "detect", None)
    with django_assert_max_num_queries(6):
        assert enrich(messages()) == 0
    assert list(Enrichment.objects.values_list("created_at", flat=True)) == before
    assert ModerationRecord.objects.count() == 4


def test_another_version_computes_again_and_judges_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready()
    enrich(messages())
    monkeypatch.setattr(enrichment, "VERSION", "later")
    assert enrich(messages()) == 4
    assert set(Enrichment.objects.values_list("version", flat=True)) == {"later"}
    assert ModerationRecord.objects.count() == 4


def test_another_policy_judges_again_and_detects_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready()
    enrich(messages())
    monkeypatch.setattr(policy.load(), "version", "later")
    monkeypatch.setattr(detection, "detect", None)
    assert enrich(messages()) == 4
    assert ModerationRecord.objects.filter(policy="later").count() == 4
    assert ModerationRecord.objects.count() == 8


def test_another_text_is_looked_at_again() -> None:
    factories.ready()
    enrich(messages())
    Message.objects.filter(role="assistant").update(text="Another answer, here.")
    assert enrich(messages()) == 2
    assert Enrichment.objects.filter(text_sha256=verdicts.text_sha256("Another answer, here.")).count() == 2
    assert Enrichment.objects.count() == 4


def test_empty_and_erased_texts_get_nothing() -> None:
    battle = factories.ready(a=factories.outcome("", "stopped"))
    assert enrich(messages()) == 3
    stale = messages()
    erasure.erase(battle.visitor)
    assert Enrichment.objects.count() == ModerationRecord.objects.count() == 0
    assert enrich(stale) == 0, "texts that were read before the person had them erased"
    assert Enrichment.objects.count() == ModerationRecord.objects.count() == 0
    assert enrich(messages()) == 0


def test_a_detector_that_fails_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready(a=factories.outcome("odd"))
    detect = detection.detect

    def brittle(text: str) -> dict[str, object]:
        if text == "odd":
            raise ValueError(text)
        return detect(text)

    monkeypatch.setattr(detection, "detect", brittle)
    enrich(messages())
    assert Enrichment.objects.count() == 3
    assert ModerationRecord.objects.count() == 4
    assert [m.text for m in enrichment.lacking_current(Message.objects.all())] == ["odd"]


def test_a_broken_rule_file_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.ready()

    def broken(*_: object) -> None:
        raise policy.PolicyError("broken")

    monkeypatch.setattr(policy, "load", broken)
    with pytest.raises(policy.PolicyError):
        enrich(messages())
    assert not Enrichment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_callers_at_once_write_one_of_each() -> None:
    factories.ready()
    factories.ready()

    def call(_: int) -> None:
        try:
            enrich(Message.objects.order_by("?"))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(call, range(12)))
    enrich(messages())
    assert Enrichment.objects.count() == ModerationRecord.objects.count() == 8


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_task_is_sent_when_the_turn_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple] = []
    monkeypatch.setattr(
        enrichment.app, "send_task", lambda name, args, **more: sent.append((name, args, more["queue"]))
    )
    battle = factories.ready()
    assert [message for message in sent if message[2] == "default"] == [
        ("arena.tasks.enrich_turn", [str(battle.turns.get().pk)], "default")
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("no broker"), OSError("no socket")])
def test_a_dead_broker_does_not_cost_the_turn(
    monkeypatch: pytest.MonkeyPatch, later: Callable[[int], None], error: Exception
) -> None:
    def dead(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(enrichment.app, "send_task", dead)
    battle = factories.ready()
    assert battle.state == "ready"
    assert not Enrichment.objects.exists()
    later(5)
    assert enrichment.sweep() == 4
    assert Enrichment.objects.count() == 4


def test_the_sweep_leaves_the_newest_to_their_task_and_is_bounded(
    settings: object, later: Callable[[int], None]
) -> None:
    factories.ready()
    assert enrichment.sweep() == 0
    later(5)
    settings.ENRICH_BATCH = 3
    assert [enrichment.sweep() for _ in range(3)] == [3, 1, 0]


def test_what_is_older_is_left_to_the_job(settings: object, later: Callable[[int], None]) -> None:
    factories.ready()
    later(5)
    settings.ENRICH_LOOKBACK_S = 60
    assert enrichment.sweep() == 0
    job = Job.objects.get(kind="enrich")
    assert backfill.run(job.pk) == 4


def test_the_task_of_a_deleted_turn_is_harmless() -> None:
    turn = factories.started()
    pk = turn.pk
    turn.battle.turns.all().delete()
    assert enrichment.enrich_turn(pk) == 0


# --- history ----------------------------------------------------------------------------------------------------------


def test_the_job_enriches_all_of_history_with_progress(settings: object) -> None:
    settings.ENRICH_BATCH = 3
    factories.ready()
    factories.ready()
    enrich(messages()[:2])
    ada = User.objects.create(username="ada")
    job = enrichment.start_backfill(ada)
    assert (job.kind, job.requested_by, job.state) == ("enrich", ada, JobState.QUEUED)
    assert backfill.run(job.pk) == 6
    job.refresh_from_db()
    assert (job.state, job.done, job.total) == (JobState.DONE, 8, 8)
    assert job.message == "6 of 8 messages enriched anew"
    assert backfill.run(job.pk) is None, "a job runs once"


def test_a_job_that_died_is_begun_again_and_skips_what_was_done(
    settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENRICH_BATCH = 2
    factories.ready()
    job, calls = enrichment.start_backfill(None), []

    def dying(batch: list[Message]) -> int:
        calls.append(len(batch))
        if len(calls) == 2:
            raise SystemError("killed")
        return enrich(batch)

    monkeypatch.setattr(backfill, "enrich", dying)
    with pytest.raises(SystemError):
        backfill.run(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    monkeypatch.setattr(backfill, "enrich", enrich)
    assert backfill.run(enrichment.start_backfill(None).pk) == 2


def test_one_job_at_a_time() -> None:
    assert enrichment.start_backfill(None) == enrichment.start_backfill(None)


def test_history_is_seen_to_after_a_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = enrichment.see_to_history()
    assert first is not None
    backfill.run(first.pk)
    assert enrichment.see_to_history() is None
    monkeypatch.setattr(enrichment, "VERSION", "later")
    second = enrichment.see_to_history()
    assert second is not None and second.arguments["version"] == "later"
    jobs.fail(second.pk, "its worker stopped")
    assert enrichment.see_to_history() is None, "not at once again"
    Job.objects.filter(pk=second.pk).update(created_at=now() - 2 * enrichment.AGAIN)
    assert enrichment.see_to_history() is not None


def test_the_command_works_here_and_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    factories.ready()
    call_command("enrich", "--here")
    assert "4 of 4 messages enriched anew" in capsys.readouterr().out
    call_command("enrich", "--here")
    assert "0 of 4 messages enriched anew" in capsys.readouterr().out


def test_conversations_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a policy bump a stored verdict that no longer holds is taken back."""
    battle = factories.ready()
    enrich(messages())
    Conversation.objects.update(verdict=Verdict.PASSED)
    monkeypatch.setattr(policy.load(), "version", "later")
    backfill.run(enrichment.start_backfill(None).pk)
    battle.refresh_from_db()
    assert battle.conversation_a.verdict == battle.conversation_b.verdict == Verdict.PENDING
