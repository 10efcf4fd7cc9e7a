"""Messages reach the backend: which, in what order, how often, and what becomes of its word."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from arena import clock, erasure
from arena.clock import now
from arena.env import Env
from arena.models import Battle, Conversation, Message, ModerationRecord
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import decisions, enrichment, passing, policy, verdicts
from tests import factories
from tests.arena.moderation.backends.server import Answer, Endpoint, answers, raw, result, serving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture
def endpoint(settings: object) -> Iterator[Endpoint]:
    with serving() as running:
        settings.MODERATION_BACKEND, settings.MODERATION_URL = "openai", running.url
        settings.MODERATION_KEY, settings.MODERATION_TRIES = "k", 1
        settings.MODERATION_PER_MINUTE = 6000
        yield running


def judged() -> dict[str, str]:
    return dict(ModerationRecord.objects.filter(backend="openai").values_list("message__text", "standing"))


def stored(battle: Battle) -> list[str]:
    battle = Battle.objects.select_related("conversation_a", "conversation_b").get(pk=battle.pk)
    return [battle.conversation_a.verdict, battle.conversation_b.verdict]


def test_a_pass_of_every_message_passes_the_conversation(endpoint: Endpoint) -> None:
    battle = factories.ready()
    enrichment.enrich(Message.objects.all())
    assert passing.run() == 4
    assert stored(battle) == [Verdict.PASSED, Verdict.PASSED]
    record = ModerationRecord.objects.filter(backend="openai").first()
    assert record is not None
    assert (record.backend_version, record.policy) == ("omni-moderation-2024-09-26", policy.load().version)
    assert record.scores["hate"] == 0.01 and record.latency_ms is not None
    assert passing.run() == 0
    assert len(endpoint.asked) == 1


def test_without_a_backend_nothing_is_sent_and_nothing_passes(endpoint: Endpoint, settings: object) -> None:
    settings.MODERATION_BACKEND = ""
    battle = factories.ready()
    assert passing.run() == 0
    assert stored(battle) == [Verdict.PENDING] * 2 and not endpoint.asked


def test_a_flag_flags_one_side_and_the_rules_are_not_outvoted(endpoint: Endpoint) -> None:
    def flagging(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
        return answers(*[result(*(["hate"] if text == "Rude." else [])) for text in texts])(texts)

    endpoint.script = [flagging]
    battle = factories.ready(a=factories.outcome("Rude."), b=factories.outcome("If you want to die, call 988."))
    passing.run()
    assert stored(battle) == [Verdict.FLAGGED, Verdict.PASSED]
    enrichment.enrich(Message.objects.all())
    assert stored(battle) == [Verdict.FLAGGED, Verdict.FLAGGED]
    assert ModerationRecord.objects.get(backend="openai", message__text="Rude.").categories == ["hate"]


def test_newest_first_in_bounded_batches(endpoint: Endpoint, settings: object) -> None:
    settings.MODERATION_BATCH = 3
    for text in ("old", "new"):
        factories.ready(a=factories.outcome(f"{text} a"), b=factories.outcome(f"{text} b"))
    assert passing.run() == 8
    sent = [text for asked in endpoint.asked for text in asked["input"]]
    assert [len(asked["input"]) for asked in endpoint.asked] == [3, 3, 2]
    assert sent[:2] == ["new b", "new a"] and {"old a", "old b"} <= set(sent[4:])


def test_a_run_ends_with_its_time_and_with_the_rate(endpoint: Endpoint, settings: object) -> None:
    settings.MODERATION_BATCH, settings.MODERATION_PER_MINUTE = 1, 20
    factories.ready()
    assert passing.run() == 2, "a tenth of the minute's requests at once"
    settings.MODERATION_PER_MINUTE, settings.MODERATION_RUN_S = 6000, 0.0
    assert passing.run() == 0


@pytest.mark.parametrize("failure", [raw("", 500), raw("", 429), raw("{}"), raw('{"results": []}'), answers(result())])
def test_failures_are_recorded_and_never_pass(endpoint: Endpoint, failure: Answer) -> None:
    endpoint.script = [failure]
    battle = factories.ready()
    passing.run()
    assert set(judged().values()) == {Standing.ERROR}
    assert ModerationRecord.objects.exclude(error="").count() == 4
    assert stored(battle) == [Verdict.PENDING] * 2


def test_failures_come_again_later_and_not_for_ever(
    endpoint: Endpoint, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MODERATION_ATTEMPTS, settings.MODERATION_BACKOFF_S = 3, 60.0
    endpoint.script = [raw("", 500)]
    factories.ready()
    tried = []
    for minute in range(12):
        monkeypatch.setattr(clock, "now", lambda at=minute: now() + timedelta(minutes=at, seconds=at))
        before = ModerationRecord.objects.count()
        for _ in range(4):
            passing.run()
        if ModerationRecord.objects.count() > before:
            tried.append(minute)
    assert len(tried) >= 3
    counts = [m.moderation.count() for m in Message.objects.all()]
    assert counts == [3] * 4, "given up: a moderator must look"


def test_a_day_without_the_backend_leaves_nothing_to_moderators(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, battle = now(), factories.ready()
    decisions.pass_battles([battle], None)
    one = Message.objects.filter(conversation=battle.conversation_b_id).last()
    assert one is not None
    one.moderation.all().delete()
    verdicts.settle([one.conversation_id])
    endpoint.script = [raw("", 503)]
    for minute in (1, 3, 6, 12, 24, 45, 90, 180, 360, 720, 1440, 2880):  # whenever a pause is over
        moment = begun + timedelta(minutes=10 + minute)
        monkeypatch.setattr(clock, "now", lambda at=moment: at)
        endpoint.script = endpoint.script if minute <= 1440 else [answers()]
        passing.run()
        one.moderation.filter(created_at__lt=begun + timedelta(minutes=10)).update(created_at=moment)
    assert set(one.moderation.values_list("standing", flat=True)) == {Standing.ERROR, Standing.PASSED}


def test_after_a_failure_a_later_pass_counts(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.script = [raw("", 500), answers()]
    battle = factories.ready()
    passing.run()
    assert passing.run() == 0, "not at once"
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=2))
    passing.run()
    assert stored(battle) == [Verdict.PASSED] * 2


def test_one_text_that_the_backend_chokes_on_costs_the_others_one_try(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choking(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
        return raw("", 400)(texts) if "odd" in texts else answers()(texts)

    endpoint.script = [choking]
    battle = factories.ready(a=factories.outcome("odd"))
    passing.run()
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(minutes=2))
    passing.run()
    assert {text: standing for text, standing in judged().items() if standing == Standing.PASSED}.keys() == {
        "Why is the sky blue?",
        "An answer.",
    }
    assert stored(battle) == [Verdict.PENDING, Verdict.PASSED]


def test_a_wrong_key_writes_nothing_and_is_said(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.script = [raw("", 401)]
    factories.ready()
    assert passing.run() == 0
    assert not ModerationRecord.objects.exists()
    assert "AGON_MODERATION_KEY" in caplog.text


def test_demo_erased_empty_and_decided_conversations_are_not_sent(endpoint: Endpoint) -> None:
    demo, erased, decided, silent = (factories.ready() for _ in range(4))
    Battle.objects.filter(pk=demo.pk).update(origin="demo")
    erasure.erase(erased.visitor)
    decisions.block_battle(decided, User.objects.create(username="ada"), "Bad")
    Message.objects.filter(conversation__in=[silent.conversation_a_id, silent.conversation_b_id]).update(text="")
    assert passing.run() == 0
    assert not endpoint.asked


def test_another_policy_asks_again(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    battle = factories.ready()
    assert passing.run() == 4
    monkeypatch.setattr(policy.load(), "version", "later")
    enrichment.enrich(Message.objects.all())
    assert stored(battle) == [Verdict.PENDING] * 2
    assert passing.run() == 4
    assert stored(battle) == [Verdict.PASSED] * 2


def test_a_text_that_changed_while_it_was_judged_gets_no_word(endpoint: Endpoint) -> None:
    factories.ready()
    batch = passing.due("openai", 10)
    Message.objects.filter(pk=batch[0].pk).update(text="Changed.")
    backend = passing.backends.configured()
    assert backend is not None
    passing._store("openai", list(zip(batch, backend.look([m.text for m in batch]), strict=True)))
    assert ModerationRecord.objects.count() == 3
    assert not Conversation.objects.filter(pk=batch[0].conversation_id, verdict=Verdict.PASSED).exists()


@pytest.mark.parametrize("value", ["hate", "hate=2", "hate=-1", "=0.5", "hate=x", "hate=nan"])
def test_thresholds_are_read_strictly(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="name=number"):
        Env({"T": value}).shares("T")


def test_thresholds() -> None:
    assert Env({"T": "sexual/minors=0.2, violence=1"}).shares("T") == {"sexual/minors": 0.2, "violence": 1.0}
    assert Env({"T": ""}).shares("T", "a=0.5") == {}


@pytest.mark.django_db(transaction=True)
def test_one_run_at_a_time(endpoint: Endpoint) -> None:
    factories.ready()
    inside, leave = threading.Event(), threading.Event()

    def waiting(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
        inside.set()
        leave.wait(10)
        return answers()(texts)

    endpoint.script = [waiting]

    def first() -> int:
        try:
            return passing.run()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        assert inside.wait(10)
        assert passing.run() == 0
        leave.set()
        assert running.result() == 4
    assert len(endpoint.asked) == 1
