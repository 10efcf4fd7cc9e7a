"""What a tick costs a large database: no query reads a whole table, and the number of queries does not grow with it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import clock
from arena.operations import counters, hour, now
from tests import factories

pytestmark = pytest.mark.django_db
ROWS = 30_000
# Years of rows by copying one row of each table with new keys and old times; foreign keys are not looked at.
LARGE = (
    "arena_battle",
    "arena_turn",
    "arena_reply",
    "arena_message",
    "arena_vote",
    "arena_voteevent",
    "arena_gateblock",
)
LARGE += ("arena_conversation", "arena_visitor", "arena_job", "arena_report", "arena_appeal")
AGED = {"created_at", "finished_at", "started_at", "first_token_at", "ready_at", "voted_at"}
FRESH_UNIQUE = {"share_token", "recovery_hash", "conversation_a_id", "conversation_b_id", "successor_id"}


@pytest.fixture
def large(valkey: redis.Redis) -> Iterator[None]:
    """Tables as a busy site's after a year: ROWS old rows each, a few new ones."""
    from arena.models import Appeal, GateBlock, Job, Report
    from tests.arena.views_help import Person, url

    person = Person()
    battle = person.ready()
    person.post(url(battle, "vote/"), choice="a", turn=1)
    block = GateBlock.objects.create(visitor=person.visitor, policy="1", category="c", rule="r", prompt="x")
    Appeal.objects.create(block=block, decision="upheld", decided_at=clock.now())
    reply = battle.turns.get().replies.first()
    Report.objects.create(
        reply=reply, visitor=person.visitor, reason="other", decision="upheld", decided_at=clock.now()
    )
    Job.objects.create(kind="x", state="done")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE arena_voteevent SET absorbed = true; UPDATE arena_conversation SET verdict = 'passed'")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in LARGE:
            cursor.execute(copies(cursor, table))
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE " + ", ".join(LARGE))
    factories.ready(person.visitor)
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def copies(cursor: Any, table: str) -> str:
    """INSERT that copies one row ROWS times: new uuid7 keys of last year, every other uuid new, times of last year."""
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'"
        " ORDER BY ordinal_position",
        [table],
    )
    columns = cursor.fetchall()
    year = "interval '1 day' * (10 + n / 100.0)"
    ms = f"(extract(epoch FROM now() - {year}) * 1000)::bigint"
    uuid7 = f"(lpad(to_hex({ms}), 12, '0') || '7' || substr(md5(n::text || '{table}'), 1, 19))::uuid"
    told = []
    for name, kind in columns:
        if name == "id":
            told.append(uuid7 if kind == "uuid" else "n")
        elif name in FRESH_UNIQUE and kind != "uuid":
            told.append("NULL")
        elif kind == "uuid" and name not in ("visitor_id", "deployment_id"):
            told.append(f"CASE WHEN one.{name} IS NULL THEN NULL ELSE md5(n::text || '{name}')::uuid END")
        elif name in AGED:
            told.append(f"CASE WHEN one.{name} IS NULL THEN NULL ELSE now() - {year} END")
        else:
            told.append(f'one."{name}"')
    names = ", ".join(f'"{name}"' for name, _ in columns)
    return (
        f"INSERT INTO {table} ({names}) SELECT {', '.join(told)} FROM (SELECT * FROM {table} LIMIT 1) one,"
        f" generate_series(1, {ROWS}) n"
    )


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node that reads a table."""
    if "Relation Name" in plan:
        yield plan
    for child in plan.get("Plans", []):
        yield from scans(child)


@pytest.mark.usefixtures("large")
def test_no_query_of_a_tick_reads_a_whole_table(valkey: redis.Redis) -> None:
    with CaptureQueriesContext(connection) as queries:
        now.figures(valkey)
        counters.since(clock.now() - counters.MOST, clock.now(), {})
        hour.figures({})
    asked = [query["sql"] for query in queries if query["sql"].lstrip().upper().startswith("SELECT")]
    assert len(asked) > 15
    seen = set()
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute("EXPLAIN (FORMAT JSON, ANALYZE) " + sql.replace("%", "%%"), None)
            told = cursor.fetchone()[0]
            plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
            for scan in scans(plan):
                seen.add(scan["Relation Name"])
                if scan["Relation Name"] in LARGE:
                    read = scan["Actual Rows"] * scan["Actual Loops"] + scan.get("Rows Removed by Filter", 0)
                    assert scan["Node Type"] != "Seq Scan", (sql, scan)
                    assert read < 100, (sql, scan)
    assert {"arena_reply", "arena_turn", "arena_battle", "arena_voteevent", "arena_gateblock", "arena_message"} <= seen


@pytest.mark.usefixtures("large")
def test_a_tick_has_a_budget_of_queries(valkey: redis.Redis) -> None:
    with CaptureQueriesContext(connection) as first:
        now.figures(valkey)
        counters.since(clock.now() - counters.MOST, clock.now(), {})
        known = hour.figures({})
    with CaptureQueriesContext(connection) as again:
        hour.figures(known)
    assert len(first) < 90
    assert len(again) <= 8, "whole hours are counted once"


def test_counts_end_at_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from arena.models import Visitor

    monkeypatch.setattr(now, "MANY", 5)
    for _ in range(8):
        factories.visitor()
    assert now._count(Visitor.objects.all()) == 5
