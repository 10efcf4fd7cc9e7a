"""Votes from before categories and judges were kept: nothing of them is lost, and the counts per judge begin with them."""

import gzip
import json

from tests.upgrade.test_dumps import FIRST, NAME, _psql, _python, database, server

__all__ = ["database", "server"]  # the fixtures
# Ties have a category, live events but the newest are absorbed, and one live vote was voided.
BEFORE = """
UPDATE arena_voteevent SET category = 'code' WHERE choice = 'tie';
UPDATE arena_voteevent SET absorbed = id <> (SELECT max(id::text)::uuid FROM arena_voteevent);
INSERT INTO arena_voteevent SELECT (json_populate_record(one, json_build_object('id', gen_random_uuid(), 'kind', 'void'))).*
FROM arena_voteevent AS one WHERE origin = 'demo' AND ranked ORDER BY id LIMIT 1;
"""
READ = """
import json, django; django.setup()
from arena.judges import judge_of
from arena.models import VoteEvent
from ranking.models import JudgeCount
from tests.ranking.recounting import recount
events = list(VoteEvent.objects.select_related("vote"))
judges = recount(event for event in events if event.absorbed).judges
cells = JudgeCount.objects.values_list("origin", "judge", "first_id", "second_id", "outcome", "count")
print(json.dumps({
    "categories": sorted({(event.choice, *event.categories) for event in events}),
    "judged": [event.judge == judge_of(event.vote.visitor_id) for event in events if event.origin == "live"],
    "live judges": len({event.judge for event in events if event.origin == "live"} - {""}),
    "same": {tuple(key): n for *key, n in cells} == dict(judges),
    "counted": sum(judges.values()), "events": len(events), "unabsorbed": sum(not event.absorbed for event in events),
}))
"""


def test_categories_judges_and_counts_per_judge_come_from_the_old_rows(database: str) -> None:
    _psql(NAME, gzip.decompress(FIRST.read_bytes()))
    _psql(NAME, BEFORE.encode())
    _python(database, "manage.py", "migrate", "--no-input")
    found = json.loads(_python(database, "-c", READ))
    assert {tuple(row) for row in found["categories"]} >= {("a",), ("b",), ("tie", "code")}
    assert ("tie",) not in {tuple(row) for row in found["categories"]}
    assert found["judged"] and all(found["judged"]) and found["live judges"] == 1
    assert found["same"]
    assert (found["events"], found["unabsorbed"]) == (304, 1)
    assert 290 < found["counted"] < 303
