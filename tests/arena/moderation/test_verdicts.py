"""What counts as passed: property tests over every mix of records against a plain statement of the rules, then the stories."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st

from arena.models import Conversation, Message, ModerationRecord
from arena.models.conversations import Verdict
from arena.models.moderation import Standing
from arena.moderation import decisions, policy, verdicts
from arena.moderation.verdicts import EXPORTABLE, MISSING, STALE, effective, text_sha256, verdict
from tests import factories

NOW, OLD = "policy-2", "policy-1"
TEXT, OTHER = "What was said", "What was said before"
BEGAN = datetime(2026, 11, 25, tzinfo=UTC)
_ids = count(1)


def record(backend: str, standing: str, *, text: str = TEXT, policy: str = NOW, minute: int = 0) -> ModerationRecord:
    return ModerationRecord(
        id=UUID(int=next(_ids)),
        text_sha256=text_sha256(text),
        backend=backend,
        policy=policy,
        standing=standing,
        created_at=BEGAN + timedelta(minutes=minute),
    )


BY_RULES = st.builds(record, st.just("rules"), st.sampled_from([Standing.PENDING, Standing.FLAGGED]))
BY_MACHINE = st.builds(
    record,
    st.sampled_from(["openai", "guard"]),
    st.sampled_from([Standing.PASSED, Standing.FLAGGED, Standing.ERROR, Standing.PENDING]),
    text=st.sampled_from([TEXT, TEXT, OTHER]),
    policy=st.sampled_from([NOW, NOW, OLD]),
    minute=st.integers(0, 5),
)
BY_PEOPLE = st.builds(
    record,
    st.just("human"),
    st.sampled_from([Standing.HUMAN_PASSED, Standing.HUMAN_BLOCKED]),
    text=st.sampled_from([TEXT, TEXT, OTHER]),
    policy=st.sampled_from([NOW, NOW, OLD]),
    minute=st.integers(0, 5),
)
RECORDS = st.lists(st.one_of(BY_RULES, BY_MACHINE, BY_PEOPLE), max_size=7)


def holds(one: ModerationRecord) -> bool:
    return one.text_sha256 == text_sha256(TEXT) and one.policy == NOW


def newest(records: list[ModerationRecord]) -> ModerationRecord:
    return max(records, key=lambda one: (one.created_at, one.id))


@given(RECORDS, st.randoms())
def test_only_a_pass_of_this_text_under_this_policy_lets_out(records: list[ModerationRecord], chance: object) -> None:
    shuffled = list(records)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    found = effective(TEXT, shuffled, NOW)
    assert found == effective(TEXT, records, NOW), "the order of rows does not matter"
    if found not in EXPORTABLE:
        return
    passes = [one for one in records if holds(one) and one.standing in EXPORTABLE]
    assert passes
    people = [one for one in records if one.backend == "human"]
    if found == Standing.HUMAN_PASSED:
        assert newest(people) in passes
        return
    assert not people or newest(people).standing != Standing.HUMAN_BLOCKED
    by_backend = {name: [r for r in records if r.backend == name and holds(r)] for name in {r.backend for r in records}}
    machines = [newest(rows) for name, rows in by_backend.items() if rows and name not in ("human", "rules")]
    assert machines and all(one.standing == Standing.PASSED for one in machines)
    rules = by_backend.get("rules", [])
    assert not rules or newest(rules).standing != Standing.FLAGGED


@given(st.lists(BY_RULES, max_size=5))
def test_rules_alone_never_pass(records: list[ModerationRecord]) -> None:
    assert effective(TEXT, records, NOW) in (Standing.PENDING, Standing.FLAGGED, MISSING)


@given(RECORDS)
def test_a_moderators_newest_word_wins(records: list[ModerationRecord]) -> None:
    last = record("human", Standing.HUMAN_BLOCKED, minute=9)
    assert effective(TEXT, [*records, last], NOW) == Standing.HUMAN_BLOCKED
    last.standing = Standing.HUMAN_PASSED
    assert effective(TEXT, [*records, last], NOW) == Standing.HUMAN_PASSED


@given(RECORDS)
def test_nothing_survives_another_text_or_policy_but_a_block(records: list[ModerationRecord]) -> None:
    for text, version in ((f"{TEXT} and more", NOW), (TEXT, "policy-3")):
        found = effective(text, records, version)
        assert found in (MISSING, STALE, Standing.HUMAN_BLOCKED)


@given(RECORDS)
def test_a_backend_that_flags_or_fails_is_not_outvoted(records: list[ModerationRecord]) -> None:
    machine = [one for one in records if one.backend != "human"]
    for bad in (Standing.FLAGGED, Standing.ERROR):
        assert effective(TEXT, [*machine, record("third", bad, minute=9)], NOW) in (Standing.FLAGGED, Standing.ERROR)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], MISSING),
        ([record("rules", Standing.PENDING)], Standing.PENDING),
        ([record("openai", Standing.PASSED)], Standing.PASSED),
        ([record("rules", Standing.PENDING), record("openai", Standing.PASSED)], Standing.PASSED),
        ([record("rules", Standing.FLAGGED), record("openai", Standing.PASSED)], Standing.FLAGGED),
        ([record("openai", Standing.ERROR)], Standing.ERROR),
        ([record("openai", Standing.ERROR), record("openai", Standing.PASSED, minute=1)], Standing.PASSED),
        ([record("openai", Standing.PASSED), record("openai", Standing.ERROR, minute=1)], Standing.ERROR),
        ([record("openai", Standing.PASSED), record("guard", Standing.PENDING)], Standing.PENDING),
        ([record("openai", Standing.PASSED, policy=OLD)], STALE),
        ([record("openai", Standing.PASSED, text=OTHER)], STALE),
        ([record("human", Standing.HUMAN_PASSED, policy=OLD)], STALE),
        ([record("human", Standing.HUMAN_PASSED, policy=OLD), record("openai", Standing.PASSED)], Standing.PASSED),
        ([record("human", Standing.HUMAN_BLOCKED, policy=OLD, text=OTHER)], Standing.HUMAN_BLOCKED),
        (
            [record("human", Standing.HUMAN_BLOCKED, policy=OLD), record("openai", Standing.PASSED)],
            Standing.HUMAN_BLOCKED,
        ),
        (
            [record("human", Standing.HUMAN_BLOCKED), record("human", Standing.HUMAN_PASSED, minute=1)],
            Standing.HUMAN_PASSED,
        ),
    ],
)
def test_stories(records: list[ModerationRecord], expected: str) -> None:
    assert effective(TEXT, records, NOW) == expected


ALL = [*Standing.values, MISSING, STALE]


@given(st.lists(st.sampled_from(ALL), max_size=6))
def test_a_conversation_is_passed_only_when_every_message_is(found: list[str]) -> None:
    said = verdict(found)
    assert (said == Verdict.PASSED) == (bool(found) and all(one in EXPORTABLE for one in found))
    assert (said == Verdict.BLOCKED) == (Standing.HUMAN_BLOCKED in found)
    if Standing.FLAGGED in found:
        assert said in (Verdict.FLAGGED, Verdict.BLOCKED)


# --- stored -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def messages(db: None, valkey: object) -> list[Message]:
    factories.ready()
    return list(Message.objects.order_by("conversation_id", "position"))


def machine(message: Message, standing: str = Standing.PASSED) -> None:
    ModerationRecord.objects.create(
        message=message,
        text_sha256=text_sha256(message.text),
        backend="openai",
        policy=verdicts.current_policy(),
        standing=standing,
    )


def test_settling_writes_down_what_follows_and_when(messages: list[Message]) -> None:
    for message in messages[:3]:
        machine(message)
    sides = [message.conversation_id for message in messages]
    verdicts.settle(sides)
    first, second = (Conversation.objects.get(pk=pk) for pk in (sides[0], sides[3]))
    assert (first.verdict, second.verdict) == (Verdict.PASSED, Verdict.PENDING)
    assert first.verdict_at and second.verdict_at is None
    machine(messages[3], Standing.FLAGGED)
    verdicts.settle(sides)
    second.refresh_from_db()
    assert second.verdict == Verdict.FLAGGED


def test_standings_are_read_in_one_query(messages: list[Message], django_assert_num_queries: object) -> None:
    machine(messages[0])
    with django_assert_num_queries(1):  # type: ignore[operator]
        found = verdicts.standings(messages)
    assert [found[message.pk] for message in messages] == [Standing.PASSED, MISSING, MISSING, MISSING]


def test_a_policy_bump_takes_a_human_pass_back_but_not_a_block(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = User.objects.create(username="ada")
    battle, other = factories.ready(), factories.ready()
    decisions.pass_battles([battle], ada)
    decisions.block_battle(other, ada, "Bad")
    monkeypatch.setattr(policy.load(), "version", "later")
    sides = [battle.conversation_a_id, other.conversation_a_id]
    verdicts.settle(sides)
    assert [Conversation.objects.get(pk=pk).verdict for pk in sides] == [Verdict.PENDING, Verdict.BLOCKED]


def test_a_broken_rule_file_passes_nothing(messages: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise policy.PolicyError("broken")

    monkeypatch.setattr(policy, "load", broken)
    with pytest.raises(policy.PolicyError):
        verdicts.standings(messages)
    with pytest.raises(policy.PolicyError):
        verdicts.settle([messages[0].conversation_id])
