"""Labels from a file: added to what rules say, kept, all of them or none, and boards follow them."""

from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from arena.models import Enrichment
from ranking import counts
from ranking.counting import labelling
from ranking.fits import fitting
from ranking.imports import importing, label_files
from ranking.imports.row import BadFile
from ranking.models import BoardSnapshot, VoteLabel
from tests.ranking import rows
from tests.ranking.counting.labelled import categories, enrich, kinds, voted
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "no_broker")]


def test_labels_of_a_file_are_added_to_what_rules_say_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    battle, waiting = voted(), voted()
    enrich()
    Enrichment.objects.filter(message__conversation=waiting.conversation_a).delete()
    path = written(tmp_path, "hard.csv", f"battle,labels\n{battle.pk},hard_prompt topic_sky math\n{waiting.pk},math\n")
    assert label_files.label_site(path, "us") == 2
    assert categories(battle) == ["code", "german", "hard_prompt", "math", "short_prompt", "topic_sky"] and categories(
        waiting
    ) == ["math"]
    counts.absorb()
    assert sum(n for key, n in rows.stored("live").items() if key[1] == "math") == 2
    enrich()
    monkeypatch.setattr(labelling.labels, "VERSION", "later")
    labelling.sweep()
    assert categories(battle)[2:4] == ["hard_prompt", "math"] and "math" in categories(waiting)
    label_files.label_site(written(tmp_path, "again.csv", f"battle,labels\n{battle.pk},\n"), "us")
    assert categories(battle) == ["code", "german", "short_prompt"] and VoteLabel.objects.count() == 1


def test_what_is_wrong_with_a_file_of_labels_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    battle = voted()
    for line, said in (
        (f"{battle.pk},poetry", "unknown label 'poetry': expected topic_..., hard_prompt"),
        (f"{battle.pk},german", "unknown label 'german'"),
        (f"{uuid4()},math", "there is no battle with a vote"), ("x,math", "there is no battle with a vote 'x'"),
        ("1,2,3", "3 fields"), (",math", "battle is missing"),
        (f"{battle.pk},math", "came before"),
    ):  # fmt: skip
        with pytest.raises(BadFile, match="line 3") as bad:
            label_files.label_site(
                written(tmp_path, "l.csv", f"battle,labels\n{battle.pk},hard_prompt\n{line}\n"), "us"
            )
        assert said in str(bad.value)
    with pytest.raises(BadFile, match="no label in the file"):
        label_files.label_site(written(tmp_path, "l.csv", "battle,labels\n"), "us")
    assert not VoteLabel.objects.exists() and kinds(battle) == ["cast"]


def test_votes_of_an_import_are_labelled_by_the_ids_of_its_file(tmp_path: Path) -> None:
    call_command("import_votes", str(written(tmp_path, "v.jsonl", samples.LMSYS)), stdout=StringIO())
    labels = written(
        tmp_path, "l.jsonl", [{"vote": "q0", "labels": ["math", "hard_prompt"]}, {"vote": "q2", "labels": "math;code"}]
    )
    out = StringIO()
    call_command("import_labels", str(labels), "--import", "v", stdout=out)
    assert out.getvalue() == "labelled 2 votes\n" and rows.agree("import:v")
    found = {key[1]: n for key, n in rows.stored("import:v").items() if key[1] in ("math", "code", "hard_prompt")}
    assert found == {"math": 1, "code": 1, "hard_prompt": 1}
    assert sum(n for key, n in rows.stored("import:v").items() if key[1] == "math") == 2
    with pytest.raises(CommandError, match="there is no vote of import:v 'q9'"):
        call_command(
            "import_labels", str(written(tmp_path, "x.jsonl", [{"vote": "q9", "labels": "math"}])), "--import", "v"
        )
    with pytest.raises(CommandError, match="there is no import 'w'"):
        call_command("import_labels", str(labels), "--import", "w")


def test_boards_of_an_import_follow_its_labels(tmp_path: Path, settings: object) -> None:
    settings.CATEGORY_VOTES, settings.BOARD_REPLICATES = 1, 10  # type: ignore[attr-defined]
    votes = "id,model_a,model_b,winner\n1,x,y,model_a\n2,x,y,model_b\n3,y,x,tie\n"
    made = importing.import_votes(written(tmp_path, "v.csv", votes))
    fitting.refit()
    for number, label in enumerate(("1", "2", "3"), 1):
        label_files.label_import(written(tmp_path, "l.csv", f"vote,labels\n{label},math\n"), made)
        fitting.refit()
        newest = BoardSnapshot.objects.filter(origin=made.origin, category="math").latest("fitted_at")
        assert newest.votes == number
    assert fitting.refit() == []
