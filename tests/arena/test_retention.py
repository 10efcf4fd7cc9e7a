"""What the site forgets by itself: each rule at its edge, twice, in batches, and what it never touches."""

import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery.schedules import schedule
from django.conf import settings as site
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from arena import bans, battles, clock, complaints, erasure, retention, votes
from arena.errors import Refused
from arena.models import Appeal, AuditEntry, Ban, Battle, Consent, GateBlock, Job, Message, Reply, Report, Turn, Visitor
from arena.models.battles import BattleState, VoidReason
from arena.processes import Layout, workers
from tests import factories

pytestmark = pytest.mark.django_db
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch, valkey: redis.Redis) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def block(days: float) -> GateBlock:
    return GateBlock.objects.create(policy="1", category="c", rule="r", prompt="words", created_at=ago(days))


def appeal(of: GateBlock, decided_days: float | None = None) -> Appeal:
    decided = {} if decided_days is None else {"decision": "dismissed", "decided_at": ago(decided_days)}
    return Appeal.objects.create(block=of, text="but", **decided)


def taken() -> dict[str, int]:
    return {name: count for name, count in retention.run().items() if count}


def test_blocked_prompts_go_when_nobody_waits_for_them() -> None:
    young, old = block(29.9), block(30.1)
    waiting, lately, long_ago = block(200), block(200), block(200)
    appeal(waiting)
    appeal(lately, 29)
    appeal(long_ago, 31)
    assert taken() == {"blocked prompts": 2}
    assert set(GateBlock.objects.all()) == {young, waiting, lately}
    assert Appeal.objects.count() == 2
    assert old not in GateBlock.objects.all()
    assert taken() == {}


def test_the_words_of_decided_reports_go_and_the_decision_stays() -> None:
    replies = list(factories.ready().turns.get().replies.all()) + list(factories.ready().turns.get().replies.all())
    for reply, decision, days in zip(replies, ["upheld", "upheld", "dismissed", ""], [31, 29, 31, None], strict=True):
        at = ago(days) if days else None
        Report.objects.create(reply=reply, reason="other", text="my name is", decision=decision, decided_at=at)
    assert taken()["texts of decided reports"] == 2
    assert sorted(Report.objects.values_list("decision", "text")) == [
        ("", "my name is"), ("dismissed", ""), ("upheld", ""), ("upheld", "my name is"),
    ]  # fmt: skip


def older(turn: Turn, days: float) -> Turn:
    """The same turn as if it had been made then: its id tells the time."""
    moved = Turn.objects.filter(pk=turn.pk)
    turn.replies.all().delete()
    at = int(ago(days).timestamp() * 1000)
    fresh = f"{at >> 16:08x}-{at & 0xFFFF:04x}{turn.pk.hex[12:]}".replace("-", "")
    moved.update(id=fresh, created_at=ago(days))
    return Turn.objects.get(pk=fresh)


def test_hashes_of_addresses_go(monkeypatch: pytest.MonkeyPatch) -> None:
    young, old = older(factories.started(), 29), older(factories.started(), 31)
    assert taken() == {"hashes of addresses": 1}
    assert (Turn.objects.get(pk=young.pk).group, Turn.objects.get(pk=old.pk).group) == ("g", "")


def abandoned(days: float, publish: bool = False, reason: str = VoidReason.ABANDONED) -> Battle:
    person = factories.visitor()
    factories.consent(person, publish)
    battle = factories.ready(person)
    Battle.objects.filter(pk=battle.pk).update(state=BattleState.VOID, void_reason=reason, created_at=ago(days))
    return battle


def texts(battle: Battle) -> set[str]:
    sides = [battle.conversation_a_id, battle.conversation_b_id]
    return set(Message.objects.filter(conversation__in=sides).values_list("text", flat=True))


def test_texts_of_abandoned_battles_go_unless_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    old, young, given = abandoned(91), abandoned(89), abandoned(91, publish=True)
    flagged, voted = abandoned(91, reason=VoidReason.FLAGGED), factories.ready()
    votes.cast_vote(voted.pk, "a", 1)
    Battle.objects.filter(pk=voted.pk).update(created_at=ago(500))
    assert taken()["texts of abandoned battles"] == 1
    assert texts(old) == {""}
    assert all("An answer." in texts(battle) for battle in (young, given, flagged, voted))
    assert Battle.objects.filter(pk=old.pk, state=BattleState.VOID).exists(), "the row and its counts stay"
    assert "texts of abandoned battles" not in taken()


def test_a_battle_that_is_in_use_waits_for_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    battle = abandoned(91)

    def busy(_: Battle) -> None:
        raise Refused(503, "busy", "later")

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "erase_battle", busy)
        assert "texts of abandoned battles" not in taken()
    assert taken()["texts of abandoned battles"] == 1
    assert texts(battle) == {""}


def test_a_reported_text_stays_until_somebody_has_decided() -> None:
    battle = abandoned(91)
    report = battles.report(Reply.objects.filter(turn__battle=battle)[0], battle.visitor, "harmful", "Look at this.")
    assert "texts of abandoned battles" not in taken()
    assert "An answer." in texts(battle) and Report.objects.get().text == "Look at this."
    complaints.decide(report, User.objects.create_user("ada", is_staff=True), "dismissed", "")
    assert taken()["texts of abandoned battles"] == 1 and texts(battle) == {""}


def test_visitors_that_only_looked_go() -> None:
    seen = {days: Visitor.objects.create(last_seen_at=ago(days)) for days in (399, 401, 402, 403)}
    factories.consent(seen[401])
    factories.started(seen[402])
    bans.ban_visitor(seen[403], None, "spam")
    Visitor.objects.filter(pk__in=[seen[402].pk, seen[403].pk]).update(last_seen_at=ago(403))
    assert taken()["idle visitors"] == 1
    assert set(Visitor.objects.filter(pk__in=[one.pk for one in seen.values()])) == {seen[399], seen[402], seen[403]}
    assert Consent.objects.filter(visitor=seen[401]).count() == 0
    Ban.objects.update(lifted_at=ago(1))
    assert taken()["idle visitors"] == 1


def test_sign_ins_and_jobs_that_are_over_go() -> None:
    for key, days in (("old", 1), ("live", -1)):
        Session.objects.create(session_key=key, session_data="", expire_date=ago(days))
    Job.objects.create(kind="old", state="done", finished_at=ago(91))
    Job.objects.create(kind="young", state="failed", finished_at=ago(89))
    Job.objects.create(kind="open", state="running", created_at=ago(500), started_at=ago(500))
    assert taken() == {"expired sign-ins": 1, "finished jobs": 1}
    assert [one.session_key for one in Session.objects.all()] == ["live"]
    assert set(Job.objects.values_list("kind", flat=True)) == {"young", "open"}


def test_batches_are_bounded(settings: object) -> None:
    settings.RETENTION_BATCH, settings.RETENTION_BATCHES = 2, 2
    for _ in range(5):
        block(40)
    assert taken() == {"blocked prompts": 4}, "the rest is tomorrow's"
    assert taken() == {"blocked prompts": 1}


def test_days_are_the_operators(settings: object) -> None:
    settings.KEEP_BLOCKED_DAYS = 3
    block(4)
    assert taken() == {"blocked prompts": 1}


def test_each_run_that_took_something_is_in_the_trail() -> None:
    assert taken() == {} and AuditEntry.objects.count() == 0
    block(40)
    User.objects.create_user("somebody")
    taken()
    (entry,) = AuditEntry.objects.filter(action="retention")
    assert (entry.actor_name, entry.after) == ("system", {"blocked prompts": 1})


def test_a_rule_that_fails_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch, caplog: object) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(retention, "RULES", (retention.Rule("first", "", broken), *retention.RULES))
    block(40)
    with caplog.at_level(logging.ERROR):
        assert taken() == {"blocked prompts": 1}
    assert "the retention rule first stopped" in caplog.text


def test_it_runs_once_a_day_away_from_the_short_tasks() -> None:
    entry = site.CELERY_BEAT_SCHEDULE["retention"]
    daily = schedule(timedelta(seconds=entry["schedule"]), relative=entry["relative"])
    started = datetime(2027, 3, 1, 17, 30, tzinfo=UTC)
    daily.nowfun = lambda: started
    assert daily.remaining_estimate(started) == timedelta(hours=6, minutes=30), "a restart of beat does not put it off"
    queue = site.CELERY_TASK_ROUTES[entry["task"]]["queue"]
    (node,) = [
        row for row in workers(Layout()) if "-Q" in row.argv and queue in row.argv[row.argv.index("-Q") + 1].split(",")
    ]
    assert node.name == "worker-long"


def test_the_operators_page_says_what_the_code_does() -> None:
    section = OPERATING.read_text().split("## What is kept how long")[1].split("\n## ")[0]
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")
    ][2:]
    told = {name: (days, setting) for name, days, setting, _why in rows if setting != "never"}
    assert told == {
        rule.name: (str(rule.days) if rule.setting else "their own end", rule.setting) for rule in retention.RULES
    }
    kept = {name for name, _days, setting, _why in rows if setting == "never"}
    assert {"battles, votes and counts", "spending per endpoint and day", "the audit trail", "releases"} <= kept
    documented = re.findall(r"`(AGON_KEEP_\w+)`", (OPERATING.parent / "settings.md").read_text())
    assert set(documented) == {rule.setting for rule in retention.RULES if rule.setting}
