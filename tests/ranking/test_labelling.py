"""Votes get their categories and style once their messages are enriched, once per version, and keep imported labels."""

import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from arena import battles, clock, erasure, voiding, votes
from arena.models import Battle, Enrichment, Job, Message, VoteEvent
from arena.models.operations import JobState
from arena.moderation import enrichment
from ranking import counts
from ranking.counting import labelling
from ranking.fits import fitting
from ranking.imports import importing, label_files
from ranking.imports.row import BadFile
from ranking.models import BoardSnapshot, VoteLabel, VoteStyle
from tests import factories
from tests.factories import outcome
from tests.ranking import rows
from tests.ranking.imports.samples import written
from tests.ranking.test_importing import agree, samples

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]
CODE = "Here:\n```python\nprint(1)\n```\n# Title\n- **bold** item"


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("arena.voiding.app.send_task", "arena.jobs.app.send_task"):
        monkeypatch.setattr(name, lambda *_, **__: None)


def voted(prompt: str = "Warum ist der Himmel blau? Erkläre es mir bitte ganz genau, ich verstehe es nicht.") -> Battle:
    """With code in both answers, and a second turn after the vote."""
    battle = factories.finish(factories.started(prompt=prompt), a=outcome(CODE), b=outcome("```\nx\n```"))
    votes.cast_vote(battle.pk, "a", 1)
    return Battle.objects.get(pk=battle.pk)


def enrich() -> None:
    enrichment.enrich(Message.objects.all())


def categories(battle: Battle) -> list[str]:
    return VoteEvent.objects.filter(vote__battle=battle).order_by("created_at", "id").last().categories  # type: ignore[union-attr]


def kinds(battle: Battle) -> list[str]:
    return list(
        VoteEvent.objects.filter(vote__battle=battle).order_by("created_at", "id").values_list("kind", flat=True)
    )


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
    assert {key[1] for key in rows.stored("live")} == {"", "code", "german", "short_prompt"} and agree("live")


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
    assert rows.stored("live") == {} and agree("live")


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
    failures: list[BaseException] = []

    def run() -> None:
        try:
            labelling.label_all()
        except BaseException as error:  # noqa: BLE001 (handed to the test below)
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    labelling.label_all()
    assert not failures and [kinds(battle) for battle in found] == [["cast", "recategorise"]] * 4
    assert VoteStyle.objects.count() == 4


# --- Imported labels --------------------------------------------------------------------------------------------------


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
    assert out.getvalue() == "labelled 2 votes\n" and agree("import:v")
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
