"""The export job: what is in the files, in which order and bounds, and what travels with them."""

import gzip
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pytest_django import Settings

from arena import clock
from arena.models import AuditEntry, Battle, Message, ModerationRecord
from arena.models.operations import JobState
from arena.moderation import verdicts
from datasets import card, export, parquet, releases, storage
from datasets import rows as columns
from datasets.models import Release, ReleaseFile, ReleaseState
from datasets.public_ids import public_id
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "releases_dir")]


def test_one_row_per_side_in_both_formats() -> None:
    battle = rows.releasable(prompt="Why?", a="Because\u2028\x85A.", b="Because B.")
    release = making.make()
    assert (release.state, release.conversations, release.messages) == ("published", 2, 4)
    found = {row["model"]: row for row in making.jsonl(release)}
    row = found[battle.revision_a.contestant.name]
    assert list(row) == list(columns.COLUMNS)
    assert row["conversation_id"] == public_id(battle.conversation_a_id)
    assert row["conversation"] == [
        {"content": "Why?", "role": "user"},
        {"content": "Because\u2028\x85A.", "role": "assistant"},
    ]
    assert (row["turn"], row["language"], row["redacted"]) == (1, "English", False)
    path, lines = making.data(release)
    assert len(gzip.decompress(lines.read_bytes()).decode().splitlines()) == 2, "no line end inside a record"
    assert pq.read_table(path).to_pylist() == making.jsonl(release)
    assert making.job(release).state == JobState.DONE
    assert AuditEntry.objects.get(action="release").subject == str(release.pk)


def test_the_schema_is_that_of_lmsys_chat_1m() -> None:
    """Written out once more by hand, so that a change of the code is a change of the promise; read from the file itself."""
    rows.releasable()
    schema = pq.read_schema(making.data(making.make())[0])
    names = [
        *("harassment", "harassment/threatening", "hate", "hate/threatening", "self-harm", "self-harm/instructions"),
        *("self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
    ]
    said = pa.struct([("content", pa.string()), ("role", pa.string())])
    flags, scores = (pa.struct([(name, kind) for name in names]) for kind in (pa.bool_(), pa.float64()))
    verdict = pa.struct([("categories", flags), ("category_scores", scores), ("flagged", pa.bool_())])
    assert schema.equals(
        pa.schema(
            [
                ("conversation_id", pa.string()),
                ("model", pa.string()),
                ("conversation", pa.list_(pa.field("element", said))),
                ("turn", pa.int64()),
                ("language", pa.string()),
                ("openai_moderation", pa.list_(pa.field("element", verdict))),
                ("redacted", pa.bool_()),
            ]
        )
    )


def test_20_no_column_says_who_when_or_where() -> None:
    rows.releasable()
    (row, _other) = making.jsonl(making.make())
    assert set(row) == {"conversation_id", "model", "conversation", "turn", "language", "openai_moderation", "redacted"}
    assert set(row["conversation"][0]) == {"content", "role"}


def test_the_newest_backend_speaks_in_the_moderation_column() -> None:
    battle = rows.releasable()
    prompt = Message.objects.get(conversation=battle.conversation_a_id, position=0)
    ModerationRecord.objects.filter(message=prompt).delete()
    rows.look(prompt, "flagged", "openai", categories=["hate"], scores={"hate": 0.9}, created_at=clock.now())
    scores = {"hate": 0.25, "illicit": 0.5, "sexual": float("1e-5")}
    rows.look(prompt, "passed", "openai", backend_version="omni-2024", scores=scores)
    release = making.make()
    row = next(r for r in making.jsonl(release) if r["conversation_id"] == public_id(battle.conversation_a_id))
    first, second = row["openai_moderation"]
    assert first["flagged"] is False and not any(first["categories"].values())
    assert first["category_scores"]["hate"] == 0.25 and first["category_scores"]["sexual"] == 1e-5
    assert "illicit" not in first["category_scores"]
    assert second == {
        "categories": dict.fromkeys(columns.CATEGORIES, False),
        "category_scores": dict.fromkeys(columns.CATEGORIES, 0.0),
        "flagged": False,
    }
    assert release.facts["passed_by"] == {"human": 3, "openai omni-2024": 1}


def test_a_moderator_who_overrules_a_backend_leaves_its_word_in_the_column() -> None:
    battle = rows.releasable()
    prompt = Message.objects.get(conversation=battle.conversation_a_id, position=0)
    rows.look(prompt, "flagged", "openai", categories=["violence"], scores={"violence": 0.7})
    rows.look(prompt)
    row = next(r for r in making.jsonl(making.make()) if r["conversation_id"] == public_id(battle.conversation_a_id))
    assert row["openai_moderation"][0]["flagged"] and row["openai_moderation"][0]["categories"]["violence"]


def test_the_order_is_that_of_the_public_ids_and_says_nothing_about_time() -> None:
    battles = [rows.releasable() for _ in range(6)]
    ids = [row["conversation_id"] for row in making.jsonl(making.make())]
    assert ids == sorted(ids) and len(ids) == 12
    pairs = [{public_id(b.conversation_a_id), public_id(b.conversation_b_id)} for b in battles]
    assert not all(set(ids[at : at + 2]) in pairs for at in range(0, 12, 2)), "sides of a battle are not neighbours"


def test_shards_and_row_groups_are_bounded(settings: Settings) -> None:
    settings.RELEASE_SHARD_ROWS, settings.RELEASE_GROUP_ROWS, settings.RELEASE_BATCH = 3, 2, 1
    for _ in range(4):
        rows.releasable()
    release = making.make()
    names = [path.name for path in making.data(release)]
    assert names[:3] == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    assert names[3:] == [f"train-0000{n}-of-00003.jsonl.gz" for n in range(3)]
    groups = [pq.ParquetFile(path).metadata for path in making.data(release)[:3]]
    assert [[m.row_group(g).num_rows for g in range(m.num_row_groups)] for m in groups] == [[2, 1], [2, 1], [2]]
    assert groups[0].row_group(0).column(0).compression == "ZSTD"
    assert sum(release.facts["rows"].values()) == 2 * release.conversations == 16


def test_a_row_group_is_bounded_by_bytes_too(settings: Settings) -> None:
    settings.RELEASE_GROUP_BYTES = 1000
    for _ in range(3):
        rows.releasable(a="x" * 900, b="y" * 900)
    path = making.data(making.make())[0]
    assert pq.ParquetFile(path).metadata.num_row_groups == 6


def test_the_same_rows_make_the_same_bytes() -> None:
    for _ in range(5):
        rows.releasable()
    first, second = making.make("first"), making.make("second")
    digests = [[storage.digest(path) for path in making.data(release)] for release in (first, second)]
    assert digests[0] == digests[1] and len(digests[0]) == 2


def test_ids_are_the_same_in_every_release() -> None:
    rows.releasable()
    first = {row["conversation_id"] for row in making.jsonl(making.make("first"))}
    rows.releasable()
    assert first < {row["conversation_id"] for row in making.jsonl(making.make("second"))}
    assert all(len(name) == 32 and int(name, 16) for name in first)


def test_another_key_is_noticed(settings: Settings) -> None:
    rows.releasable()
    making.make("first")
    settings.RELEASE_KEY = "another"
    with pytest.raises(Exception, match="AGON_RELEASE_KEY"):
        releases.start("second", None)


def test_21_input_is_exported_plus_dropped() -> None:
    rows.releasable()
    Battle.objects.filter(pk=rows.releasable().pk).update(origin="demo")
    factories.ready(rows.publisher())
    rows.fought()
    release = making.make()
    assert release.dropped == {"demo": 2, "open": 2, "moderation_missing": 2}
    assert release.facts["input"] == 8 == release.conversations + sum(release.dropped.values())


def test_nothing_to_release_is_said_with_the_counts() -> None:
    rows.fought()
    release = making.make()
    assert release.state == ReleaseState.FAILED and release.dropped == {"moderation_missing": 2}
    found = making.job(release)
    assert (found.state, found.message) == ("failed", "No conversation passes the gate: moderation_missing 2")
    assert not any(storage.root().iterdir())


def test_what_travels_with_the_data() -> None:
    rows.releasable()
    release = making.make()
    home = storage.home("first")
    sums = dict(reversed(line.split("  ")) for line in (home / "SHA256SUMS").read_text().splitlines())
    found = {path.relative_to(home).as_posix(): path for path in storage.files(home)}
    assert set(sums) == set(found) - {"SHA256SUMS"}
    for name, path in found.items():
        row = ReleaseFile.objects.get(release=release, path=name)
        assert (row.size, row.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        assert name == "SHA256SUMS" or sums[name] == row.sha256
    manifest = json.loads((home / "manifest.json").read_text())
    assert manifest["policy"] == verdicts.current_policy() and manifest["conversations"] == 2
    assert "CC BY 4.0" in (home / "LICENSE").read_text() and "who wrote" in (home / "LICENSE").read_text()


def test_the_card_is_read_by_its_front_matter_and_by_people() -> None:
    battle = rows.releasable()
    factories.ready(rows.publisher())
    making.make()
    text = (storage.home("first") / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert front["license"] == "other" and front["dataset_info"]["splits"][0]["num_examples"] == 2
    assert [feature["name"] for feature in front["dataset_info"]["features"]] == list(columns.COLUMNS)
    words = card.body(text)
    assert words.startswith("# first") and "| `open` | 2 | not finished yet |" in words
    assert f"| {battle.revision_a.contestant.name} | 1 |" in words and "| a moderator | 4 |" in words
    assert f"policy {verdicts.current_policy()}" in words and "removals.txt" in words


def test_large_figures_stay_figures_in_the_front_matter() -> None:
    facts = {
        "models": {"a": 1234567},
        "languages": {},
        "passed_by": {},
        "rows": {},
        "bytes": 98765432,
        "input": 1234567,
    }
    release = Release(name="first", conversations=1234567, messages=2469134, policy="1", licence="x", facts=facts)
    text = card.readme(release, 12345678)
    about = yaml.safe_load(text.split("---\n")[1])["dataset_info"]
    assert about["splits"] == [{"name": "train", "num_bytes": 98765432, "num_examples": 1234567}]
    assert (about["download_size"], about["dataset_size"]) == (12345678, 98765432)
    assert "1,234,567 conversations" in card.body(text)


def test_13_no_word_of_a_conversation_is_in_what_describes_a_release() -> None:
    rows.releasable(prompt="zanzibar prompt", a="zanzibar answer", b="zanzibar answer")
    release = making.make()
    for name in ("README.md", "manifest.json", "SHA256SUMS", "LICENSE"):
        assert "zanzibar" not in (storage.home("first") / name).read_text()
    assert "zanzibar" not in json.dumps([release.facts, release.dropped]) + making.job(release).message


def test_13_errors_hold_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, found: list) -> None:
        raise pa.ArrowInvalid(f"cannot convert {found}")

    rows.releasable(prompt="zanzibar")
    monkeypatch.setattr(parquet.ParquetFile, "write", broken)
    release = releases.start("first", None)
    with pytest.raises(pa.ArrowInvalid):
        export.run(release.job_id)
    assert making.job(release).message == "Stopped by ArrowInvalid; the log of worker-long has more."
