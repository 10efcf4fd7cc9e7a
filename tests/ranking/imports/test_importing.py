"""Imports of votes: an origin of their own with its counts, all of it or nothing, and gone without a trace."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.errors import Refused
from arena.models import AuditEntry, Contestant, VoteEvent
from ranking import counts
from ranking.counting import tallying
from ranking.imports import import_names, importing, wiping
from ranking.imports.row import BadFile
from ranking.models import JudgeCount, PairCount, VoteImport, VoteStyle
from tests.ranking import real_votes, rows
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written
from tests.ranking.recounting import recount
from tests.ranking.side_by_side import threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_broker")]


def left() -> dict[str, int]:
    kinds = (VoteEvent, VoteStyle, PairCount, JudgeCount, VoteImport, Contestant)
    return {kind.__name__: kind.objects.count() for kind in kinds}


def test_an_import_is_an_origin_with_contestants_events_and_counts_of_its_own(tmp_path: Path) -> None:
    made = importing.import_votes(written(tmp_path, "Arena 33k.jsonl", samples.LMSYS))
    assert (made.origin, made.title, made.format) == ("import:arena-33k", "Arena 33k", "lmsys")
    assert (made.votes, made.counted, made.contestants, made.styled) == (5, 4, 3, 0)
    assert rows.agree(made.origin) and sum(rows.stored_by_judge(made.origin).values()) == 4
    events = VoteEvent.objects.filter(origin=made.origin)
    assert set(events.values_list("vote", "absorbed", "kind")) == {(None, True, "cast")}
    assert {"arena_user_0", "arena_user_1"}.isdisjoint(judges := set(events.values_list("judge", flat=True)))
    assert len(judges) == 2 and all(len(judge) == 32 for judge in judges)
    german = events.get(categories__contains=["german"])
    assert (german.choice, german.contestant_a.name, german.categories) == ("b", "alpaca", ["german", "multi_turn"])
    assert german.created_at.year == 2023
    assert counts.absorb() == 0, "nothing waits to be counted"


def test_imported_contestants_cannot_be_drawn_and_may_share_names(tmp_path: Path) -> None:
    mine = Contestant.objects.create(name="koala", slug="koala", organisation="o")
    for name in ("one", "two"):
        importing.import_votes(written(tmp_path, "v.jsonl", samples.LMSYS), name=name)
    named = Contestant.objects.filter(name="koala").order_by("slug")
    assert [(one.slug, one.origin, one.imported) for one in named] == [
        ("koala", "", False), ("one-koala", "import:one", True), ("two-koala", "import:two", True),
    ]  # fmt: skip
    assert list(Contestant.objects.drawable()) == [mine]
    with pytest.raises(ValidationError):
        Contestant(name="koala", slug="koala-2", organisation="o").full_clean()


def test_staff_can_open_what_came_with_an_import(admin_client: Client, tmp_path: Path) -> None:
    made = importing.import_votes(written(tmp_path, "v.csv", samples.PLAIN))
    one = Contestant.objects.filter(origin=made.origin).first()
    assert one is not None
    pages = (
        ("arena_contestant_changelist", []),
        ("ranking_voteimport_changelist", []),
        ("arena_contestant_change", [one.pk]),
    )
    for name, args in pages:
        assert admin_client.get(reverse(f"admin:{name}", args=args)).status_code == 200
    form = {"name": one.name, "slug": one.slug, "organisation": "Org", "visibility": "public", "sampling_weight": "0"}
    answer = admin_client.post(reverse("admin:arena_contestant_change", args=[one.pk]), form | {"model": "m"})
    one.refresh_from_db()
    assert answer.status_code in (200, 302) and (one.origin, one.imported) == (made.origin, True)


def test_styles_come_with_their_events(tmp_path: Path) -> None:
    made = importing.import_votes(written(tmp_path, "v.csv", samples.PLAIN))
    style = VoteStyle.objects.get(event__choice="a")
    sizes = [getattr(style, name) for name in importing.STYLE]
    assert (made.styled, sizes) == (2, [10, 20, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("last", ["m1,m1,tie", "m1,m2,left", "m1,m2"])
def test_one_bad_row_at_the_end_leaves_nothing(last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 10)
    path = written(tmp_path, "v.csv", "model_a,model_b,winner\n" + "m1,m2,tie\n" * 35 + last)
    before = left()
    with pytest.raises(BadFile, match="line 37"):
        importing.import_votes(path)
    assert left() == before


def test_the_same_file_twice_is_refused_unless_it_is_named_anew(tmp_path: Path) -> None:
    path = written(tmp_path, "first.csv", samples.PLAIN)
    importing.import_votes(path)
    copy = path.rename(tmp_path / "second.csv")
    with pytest.raises(Refused, match="there already, as .first."):
        importing.import_votes(copy)
    with pytest.raises(Refused, match="an import of this name"):
        importing.import_votes(copy, name="First")
    importing.import_votes(copy, name="Third")
    assert set(VoteImport.objects.values_list("slug", flat=True)) == {"first", "third"}
    with pytest.raises(Refused, match="at least one letter"):
        importing.import_votes(copy, name="!!!")


def test_a_person_of_two_imports_is_two_judges(tmp_path: Path) -> None:
    said = "model_a,model_b,winner,judge\nx,y,tie,ann\ny,x,tie,ann\n"
    for name in ("One", "Two"):
        importing.import_votes(written(tmp_path, "v.csv", said), name=name)
    judges = {
        origin: set(JudgeCount.objects.filter(origin=origin).values_list("judge", flat=True))
        for origin in ("import:one", "import:two")
    }
    assert [len(found) for found in judges.values()] == [1, 1] and judges["import:one"] != judges["import:two"]


def test_replacing_takes_the_old_one_out_in_the_same_step(tmp_path: Path) -> None:
    importing.import_votes(written(tmp_path, "v.csv", samples.PLAIN))
    before = left()
    with pytest.raises(BadFile):
        importing.import_votes(written(tmp_path, "v.csv", samples.PLAIN + "broken"), replace=True)
    assert left() == before and rows.agree("import:v")
    importing.import_votes(written(tmp_path, "v.csv", "model_a,model_b,winner\nx,y,tie\n"), replace=True)
    assert set(Contestant.objects.values_list("name", flat=True)) == {"x", "y"}
    assert left() == {"VoteEvent": 1, "VoteStyle": 0, "PairCount": 1, "JudgeCount": 1, "VoteImport": 1, "Contestant": 2}


def test_an_import_is_replaced_although_its_file_is_there_under_another_name_too(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", samples.PLAIN)
    importing.import_votes(path)
    importing.import_votes(path, name="Again")
    importing.import_votes(path, replace=True)
    assert set(VoteImport.objects.values_list("slug", flat=True)) == {"v", "again"}
    assert rows.agree("import:v")


def test_wiping_leaves_everything_else_alone(tmp_path: Path) -> None:
    a, b = rows.contestants(2)
    rows.cast(a, b, "a")
    counts.absorb()
    before = left()
    made = importing.import_votes(written(tmp_path, "v.csv", samples.PLAIN))
    wiping.wipe_import(made)
    assert left() == before and rows.agree("live")
    assert list(AuditEntry.objects.order_by("created_at").values_list("action", flat=True)) == [
        "import votes",
        "wipe import",
    ]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_counts_made_by_the_database_are_those_of_the_events(data: st.DataObject) -> None:
    """The same rule twice, in SQL and in Python, on any absorbed events."""
    models = rows.contestants(3)
    origin = f"import:{models[0].slug}"
    categories = st.lists(st.sampled_from(["", "code", "english"]), max_size=3)
    for _ in range(data.draw(st.integers(0, 12))):
        a, b = data.draw(st.permutations(models))[:2]
        VoteEvent.objects.create(
            origin=origin, contestant_a=a, contestant_b=b, choice=data.draw(st.sampled_from(["a", "b", "tie", "both_bad"])),
            ranked=data.draw(st.booleans()), absorbed=data.draw(st.booleans()), categories=data.draw(categories),
            judge=data.draw(st.sampled_from(["", "j"])), probability=data.draw(st.sampled_from([1.0, 0.25])),
        )  # fmt: skip
    tallying.tally(origin)
    events = VoteEvent.objects.filter(origin=origin, absorbed=True)
    pairs, judges, inverse = recount(events)
    assert rows.stored(origin) == pairs and rows.stored_by_judge(origin) == judges
    assert rows.stored_inverse(origin) == inverse, "probabilities whose inverses are exact"


def test_long_and_equal_names_get_addresses_of_their_own() -> None:
    names = ["x" * 100, "x" * 99 + "y", "Ü", "ü!", "???"]
    made = import_names.add("import:one", names)
    found = Contestant.objects.in_bulk(made.values())
    assert [found[made[name]].name[-2:] for name in names] == ["xx", " 2", "Ü", "ü!", "??"]
    slugs = [found[made[name]].slug for name in names]
    assert len(set(slugs)) == 5 and max(map(len, slugs)) == 80 and slugs[2:] == ["one-u", "one-u-2", "one-model"]


@pytest.mark.django_db(transaction=True)
def test_a_crash_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 10)
    path = written(tmp_path, "v.csv", "model_a,model_b,winner\n" + "m1,m2,tie\n" * 50)

    def killed(votes: int) -> None:
        if votes == 30:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError, match="terminat"):
        threads(lambda: importing.import_votes(path, progress=killed))
    assert left() == dict.fromkeys(left(), 0)
    assert importing.import_votes(path).votes == 50 and rows.agree("import:v")


@pytest.mark.django_db(transaction=True)
def test_of_two_imports_of_one_name_at_once_one_is_refused(tmp_path: Path) -> None:
    paths = [written(tmp_path, f"{n}.csv", "model_a,model_b,winner\n" + "m1,m2,tie\n" * (50 + n)) for n in range(3)]
    outcomes: list[str] = []

    def run(path: Path) -> None:
        try:
            importing.import_votes(path, name="one")
            outcomes.append("made")
        except Refused as refused:
            outcomes.append(refused.code)

    threads(*(lambda path=path: run(path) for path in paths))
    assert sorted(outcomes) == ["made", "name", "name"]
    assert VoteImport.objects.count() == 1 and rows.agree("import:one")


def test_a_file_that_changes_while_it_is_read_is_not_imported(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", samples.PLAIN)

    def grow(_votes: int) -> None:
        with path.open("a") as file:
            file.write("m1,m2,tie" + "," * 11 + "\n")

    with pytest.raises(BadFile, match="the file changed while it was read"):
        importing.import_votes(path, progress=grow)
    assert not VoteImport.objects.exists() and not VoteEvent.objects.exists()
    assert importing.import_votes(path).votes == 3


def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    out = StringIO()
    call_command("import_votes", str(written(tmp_path, "v.csv", samples.PLAIN)), name="My votes", stdout=out)
    assert out.getvalue().startswith("imported 2 votes (2 count, 2 with style) on 2 models as import:my-votes (csv, ")
    assert out.getvalue().splitlines()[1] == "The next fit makes its board: /leaderboard?origin=import:my-votes"
    call_command("import_votes", str(written(tmp_path, "u.jsonl", [samples.UNVOTED, *samples.COMPARIA])), stdout=out)
    assert out.getvalue().splitlines()[3] == "1 more rows are of conversations that nobody voted on"
    call_command("wipe_import", "u", stdout=out)
    path = written(tmp_path, "w.csv", "model_a,model_b,winner\na,a,tie\na,b,draw\n")
    with pytest.raises(CommandError) as refused:
        call_command("import_votes", str(path))
    said = str(refused.value).splitlines()
    assert said[0] == "line 2: 'a' against itself" and said[1].startswith("line 3: unknown winner 'draw'")
    assert said[-1] == "nothing was imported"
    with pytest.raises(CommandError) as refused:
        call_command("import_votes", str(path), problems=1)
    assert str(refused.value).splitlines()[1:] == ["(there may be more)", "nothing was imported"]
    with pytest.raises(CommandError, match="nothing was imported"):
        call_command("import_votes", str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="--problems is 1 or more"):
        call_command("import_votes", str(path), problems=0)
    with pytest.raises(CommandError, match="there is no import 'x'; there are: my-votes"):
        call_command("wipe_import", "x")
    out = StringIO()
    call_command("wipe_import", "My votes", stdout=out)
    assert out.getvalue() == "removed 2 imported votes\n" and not VoteImport.objects.exists()


@pytest.mark.parametrize(
    ("name", "votes", "models", "judges", "styled"),
    [("llmfao_crowd", 8931, 59, 124, 8931), ("llmfao_gpt4", 3236, 70, 1, 0)],
)
def test_real_votes(name: str, votes: int, models: int, judges: int, styled: int) -> None:
    path = real_votes.file(f"{name}.csv")
    made = importing.import_votes(path)
    assert (made.votes, made.counted, made.contestants, made.styled) == (votes, votes, models, styled)
    assert rows.agree(made.origin)
    assert JudgeCount.objects.values("judge").distinct().count() == judges
    names, wins, ties = real_votes.outcomes(path)
    by_outcome = dict.fromkeys(("first", "second", "tie"), 0)
    for cell in PairCount.objects.filter(category=""):
        by_outcome[cell.outcome] += cell.count
    assert by_outcome["tie"] == ties.sum() / 2 and by_outcome["first"] + by_outcome["second"] == wins.sum()
    assert set(names) == set(Contestant.objects.values_list("name", flat=True))
