"""manage.py verify_log: one changed byte, a missing, moved or invented line, a wrong count: each is found and named."""

import pytest
from django.db import connection

from arena.models import VoteEvent
from ranking import counts
from ranking.fits import fitting
from ranking.models import LogEntry, PairCount, WithheldEntry
from tests.ranking import rows
from tests.ranking.votelog.chains import ran

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def log() -> None:
    pair = rows.contestants(2)
    first, second, third = (
        rows.cast(*pair, choice, categories=["code"], probability=0.3) for choice in ("a", "b", "tie")
    )
    fitting.refit()
    rows.follow(second, "recategorise", categories=["math", "german"])
    rows.follow(first, "flag")
    rows.follow(third, "void")
    counts.absorb()


def tampered(statement: str, *values: object) -> None:
    """As somebody would who has the database: past the trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET session_replication_role = origin")


def test_a_sound_log_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ran("verify_log", capsys)
    assert code == 0 and said.endswith("sound, and the counts are those of the log\n"), said
    assert LogEntry.objects.latest("number").hash in said and "exclusions: 2 sealed" in said


def test_an_empty_log_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("logentry", "withheldentry", "paircount"):
        tampered(f"DELETE FROM ranking_{table}")
    assert ran("verify_log", capsys)[0] == 0


@pytest.mark.parametrize("number", [1, 3, 4, 5])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_one_changed_byte_of_any_line_is_named(capsys: pytest.CaptureFixture[str], number: int, part: float) -> None:
    body = LogEntry.objects.get(pk=number).body
    at = int(len(body) * part)
    changed = body[:at] + ("0" if body[at] != "0" else "1") + body[at + 1 :]
    tampered("UPDATE ranking_logentry SET body = %s WHERE number = %s", changed, number)
    code, said = ran("verify_log", capsys)
    assert code == 1 and f"line {number}" in said, said


@pytest.mark.parametrize("number", [1, 5])
def test_a_changed_hash_is_named(capsys: pytest.CaptureFixture[str], number: int) -> None:
    tampered("UPDATE ranking_logentry SET hash = %s WHERE number = %s", "f" * 64, number)
    code, said = ran("verify_log", capsys)
    assert code == 1 and f"line {number}: its stored hash" in said, said


def test_a_line_and_its_hash_changed_together_are_found_by_the_next_line(capsys: pytest.CaptureFixture[str]) -> None:
    statement = "UPDATE ranking_logentry SET body = %s, hash = encode(sha256(%s::bytea), 'hex') WHERE number = 2"
    body = LogEntry.objects.get(pk=2).body.replace('"p":0.3', '"p":0.4')
    tampered(statement, body, body)
    code, said = ran("verify_log", capsys)
    assert code == 1 and "line 3: does not follow line 2" in said, said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM ranking_logentry WHERE number = 2", "line 2: missing"),
        ("DELETE FROM ranking_logentry WHERE number = 1", "line 1: missing"),
        ("UPDATE ranking_logentry SET receipt = repeat('0', 64) WHERE number = 1", "line 1: the columns beside it"),
        ("UPDATE ranking_logentry SET about = mod(about, 3) + 1 WHERE number = 5", "line 5: the columns beside it"),
        ("UPDATE ranking_logentry SET kind = 'vote' WHERE number = 5", "line 5: the columns beside it"),
        ("UPDATE ranking_logentry SET number = 90 WHERE number = 2", "line 2: missing"),
        ("DELETE FROM ranking_withheldentry WHERE number = 1", "exclusion 1: missing"),
        ("UPDATE ranking_withheldentry SET body = replace(body, 'flag', 'void')", "exclusion 1: its stored hash"),
        (
            "UPDATE ranking_logentry SET about = about + 1 WHERE kind = 'publication'",
            "line 4: committed to other exclusions",
        ),
        ("UPDATE ranking_paircount SET count = count + 1 WHERE category = ''", "counted"),
        ("DELETE FROM ranking_paircount WHERE category = 'math'", "math"),
    ],
)
def test_what_is_missing_moved_or_counted_wrongly_is_named(
    capsys: pytest.CaptureFixture[str], statement: str, said: str
) -> None:
    tampered(statement)
    code, told = ran("verify_log", capsys)
    assert code == 1 and said in told, told


def test_an_exclusion_that_lies_beside_another_vote_s_event_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    other = rows.follow(VoteEvent.objects.get(kind="cast", choice="b"), "flag")  # a flag as well, and not sealed
    tampered("UPDATE ranking_withheldentry SET event_id = %s WHERE number = 1", other.pk)
    code, said = ran("verify_log", capsys)
    assert code == 1 and "exclusion 1: is not about the event beside it" in said, said


def test_a_whole_forged_tail_is_sound_as_a_chain_and_wrong_by_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    tampered("DELETE FROM ranking_logentry WHERE number = 5")
    code, said = ran("verify_log", capsys)
    assert code == 1 and "math" in said, "the categories that the deleted line gave are counted and not in the log"
    assert PairCount.objects.filter(category="math").exists() and WithheldEntry.objects.count() == 2
