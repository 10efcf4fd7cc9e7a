"""The demo seed: what it writes, that it writes it once, and that its board recovers the order it was made from."""

import json
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from arena import demo
from arena.demo import recordings, voters
from arena.models import Battle, Contestant, ContestantRevision, Conversation, Message, Reply, SiteConfig, Turn, Vote
from arena.models.battles import Origin
from inference.demo.roster import ROSTER
from inference.models import Adapter, Deployment, EngineEndpoint
from ranking.models import BoardSnapshot, PairCount
from tests.ranking import rows

SLUGS = [entry.slug for entry in ROSTER]
BY_STRENGTH = sorted(SLUGS, key=voters.STRENGTH.__getitem__, reverse=True)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recordings.Recordings:
    """Three prompts and an answer of each contestant, in the format of the committed recordings."""
    prompts = [{"id": f"p{n}", "text": f"Question {n}?"} for n in range(3)]
    replies = [
        {
            "prompt": f"p{n}",
            "slug": slug,
            "text": f"**Answer** {n}",
            "finish_reason": "stop",
            "tokens_in": 9,
            "tokens_out": 4,
        }
        for n in range(3)
        for slug in SLUGS
    ]
    for name, lines in (("prompts", prompts), ("replies", replies)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(recordings.load, "__defaults__", (tmp_path,))
    return recordings.load(tmp_path)


def test_the_roster_and_the_strengths_name_the_same_contestants() -> None:
    assert set(voters.STRENGTH) == set(SLUGS)


def test_the_same_seed_gives_the_same_votes() -> None:
    assert voters.bouts(["p"]) == voters.bouts(["p"])
    assert voters.bouts(["p"], seed=1) != voters.bouts(["p"], seed=2)


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 99))
def test_a_vote_is_one_of_the_four_choices(strength_a: float, strength_b: float, seed: int) -> None:
    import random

    assert voters.vote(random.Random(seed), strength_a, strength_b) in {"a", "b", "tie", "both_bad"}


def test_votes_follow_the_tie_model() -> None:
    made = voters.bouts(["p"], {"x": 0.5, "y": -0.5}, count=20_000)
    won = sum(bout.choice == ("a" if bout.a == "x" else "b") for bout in made) / len(made)
    tied = sum(bout.choice in ("tie", "both_bad") for bout in made) / len(made)
    chance = 0.73106  # 1 / (1 + exp(-1))
    assert tied == pytest.approx(voters.TIES * (1 - chance), abs=0.015)
    assert won + tied / 2 == pytest.approx(chance, abs=0.015)


def test_the_committed_recordings_answer_every_prompt_for_every_contestant() -> None:
    committed = recordings.load()
    assert len(committed.prompts) >= 50
    assert committed.answered_by_all(set(SLUGS)) == list(committed.prompts)
    assert {answer.finish_reason for answer in committed.answers.values()} <= {"stop", "length"}
    assert all(answer.text.strip() for answer in committed.answers.values())


@pytest.mark.django_db
def test_seeding_the_committed_recordings_is_quick() -> None:
    begin = time.process_time()
    call_command("seed_demo", verbosity=0)
    assert time.process_time() - begin < 3
    assert Battle.objects.count() == voters.BATTLES


@pytest.mark.django_db
def test_seeding_writes_whole_battles_of_origin_demo(recorded: recordings.Recordings) -> None:
    assert demo.seed() == voters.BATTLES
    assert Contestant.objects.filter(demo=True).count() == ContestantRevision.objects.count() == len(ROSTER)
    for model, each in ((Battle, 1), (Turn, 1), (Vote, 1), (Reply, 2), (Conversation, 2), (Message, 4)):
        assert model.objects.count() == each * voters.BATTLES, model
    assert set(Battle.objects.values_list("origin", "state", "sampler")) == {("demo", "voted", "demo-1")}
    battle = Battle.objects.select_related("conversation_b").order_by("created_at").last()
    turn = battle.turns.get()
    question, answer = battle.conversation_b.messages.all()
    assert question.text == turn.prompt.text and turn.prompt.conversation_id == battle.conversation_a_id
    assert answer.html == "<p><strong>Answer</strong> " + answer.text[-1] + "</p>\n"
    assert [reply.message.conversation_id for reply in turn.replies.all()] == [
        battle.conversation_a_id,
        battle.conversation_b_id,
    ]
    assert battle.vote.events.get().contestant_a == battle.revision_a.contestant


@pytest.mark.django_db
def test_the_roster_can_be_dispatched(recorded: recordings.Recordings) -> None:
    demo.seed()
    endpoint = EngineEndpoint.objects.get()
    assert (endpoint.name, endpoint.kind, endpoint.sealed_key) == ("local-engine", "engine", "")
    assert endpoint.base_url.startswith("unix:///") and endpoint.accepts_extras and endpoint.has_scheduler
    for revision in ContestantRevision.objects.select_related("contestant"):
        deployment = Deployment.objects.get(model=revision.model, adapter=revision.adapter)
        entry = next(entry for entry in ROSTER if entry.slug == revision.contestant.slug)
        assert deployment.upstream_name == entry.upstream_name
        assert revision.system_prompt == entry.system_prompt


@pytest.mark.django_db
def test_the_demo_board_recovers_the_known_order(recorded: recordings.Recordings) -> None:
    call_command("seed_demo", verbosity=0)
    snapshot = BoardSnapshot.objects.get()
    assert (snapshot.origin, snapshot.votes) == (Origin.DEMO, voters.BATTLES)
    slugs = {str(one.id): one.slug for one in Contestant.objects.all()}
    shown = snapshot.board["models"]
    assert [slugs[row["model"]] for row in shown] == BY_STRENGTH
    mean = sum(voters.STRENGTH.values()) / len(SLUGS)
    inside = [
        row["lower"] <= 1000 + 173.7178 * (voters.STRENGTH[slugs[row["model"]]] - mean) <= row["upper"] for row in shown
    ]
    assert all(inside)


@pytest.mark.django_db
def test_a_second_seed_does_nothing_quickly(recorded: recordings.Recordings) -> None:
    call_command("seed_demo", verbosity=0)
    begin = time.process_time()
    call_command("seed_demo", verbosity=0)
    assert time.process_time() - begin < 0.3
    assert Battle.objects.count() == voters.BATTLES and BoardSnapshot.objects.count() == 1


@pytest.mark.django_db
def test_what_was_wiped_stays_wiped_and_contestants_stay(recorded: recordings.Recordings) -> None:
    call_command("seed_demo", verbosity=0)
    call_command("wipe_demo")
    for model in (Battle, Turn, Reply, Message, Conversation, Vote, PairCount, BoardSnapshot):
        assert not model.objects.exists(), model
    call_command("seed_demo", verbosity=0)
    assert not Battle.objects.exists()
    assert Contestant.objects.count() == len(ROSTER)
    call_command("seed_demo", "--again", verbosity=0)
    assert Battle.objects.count() == voters.BATTLES


@pytest.mark.django_db
def test_live_battles_of_demo_contestants_survive_the_wipe(recorded: recordings.Recordings) -> None:
    call_command("seed_demo", verbosity=0)
    a, b = Contestant.objects.all()[:2]
    rows.cast(a, b, "a")
    call_command("wipe_demo")
    assert list(Battle.objects.values_list("origin", flat=True)) == ["live"]
    assert Vote.objects.count() == 1


@pytest.mark.django_db
def test_an_operators_changes_outlive_the_next_start(recorded: recordings.Recordings) -> None:
    demo.seed()
    Contestant.objects.filter(slug=SLUGS[0]).update(name="Renamed")
    Contestant.objects.filter(slug=SLUGS[1]).update(visibility="retired")
    demo.seed()
    assert Contestant.objects.get(slug=SLUGS[0]).name == "Renamed"
    assert Contestant.objects.get(slug=SLUGS[1]).visibility == "retired"


@pytest.mark.django_db
def test_a_moved_installation_finds_its_engine_and_adapters(recorded: recordings.Recordings) -> None:
    demo.seed()
    EngineEndpoint.objects.update(base_url="unix:///old/engine.sock")
    Adapter.objects.update(path="/old")
    demo.seed()
    assert "/old" not in EngineEndpoint.objects.get().base_url
    assert all(Path(path).is_absolute() and path != "/old" for path in Adapter.objects.values_list("path", flat=True))


@pytest.mark.django_db
def test_an_edition_without_recordings_has_contestants_and_an_empty_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings.load, "__defaults__", (tmp_path,))
    assert demo.seed() == 0
    assert Contestant.objects.count() == len(ROSTER)
    assert not SiteConfig.objects.get().demo_seeded  # the battles come with the edition that has recordings
