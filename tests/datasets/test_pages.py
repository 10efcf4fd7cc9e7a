"""The pages of releases, the list of removals, and the verbs behind the admin."""

import json
import re
import time

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from arena import clock
from arena.errors import Refused
from arena.models import AuditEntry, Conversation, Message
from arena.moderation import policy, verdicts
from datasets import releases, removals, storage
from datasets.models import Release
from datasets.public_ids import public_id
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "releases_dir")]


def text(path: str, status: int = 200) -> str:
    answer = Client().get(path)
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


def recall(release: Release, capture, reason: str = "A model was named wrongly.") -> None:
    with capture(execute=True):
        releases.recall(release, None, reason)
    release.refresh_from_db()


def test_before_the_first_release() -> None:
    page = text("/datasets")
    assert "No release yet" in page and "removals.txt" in page
    assert text("/datasets/removals.txt") == ""
    assert Client().get("/datasets/nothing/").status_code == 404
    assert Client().post("/datasets").status_code == 405


def test_the_list_says_what_each_release_is() -> None:
    rows.releasable()
    factories.ready(rows.publisher())
    release = making.make()
    page = text("/datasets")
    for words in (
        release.digest,
        release.licence.replace("'", "&#x27;"),
        release.policy,
        "not finished yet",
        "conversation_id",
    ):
        assert words in page
    assert len(release.digest) == 64 and storage.digest(storage.home("first") / "SHA256SUMS") == release.digest


def test_the_page_of_a_release_has_files_card_and_first_rows() -> None:
    battle = rows.releasable(prompt="Is <b>zanzibar</b> an island?")
    release = making.make()
    page = text("/datasets/first/")
    for file in release.files.all():
        assert file.sha256 in page and f'href="/datasets/first/{file.path}"' in page
    assert "Is &lt;b&gt;zanzibar&lt;/b&gt; an island?" in page and public_id(battle.conversation_a_id) in page
    assert "How the conversations were chosen" in page and "dataset_info" not in page, (
        "the card, without its front matter"
    )
    assert release.files.count() == 6


def test_16_the_preview_obeys_the_gate_at_every_view() -> None:
    battle = rows.releasable(prompt="Where is zanzibar?")
    making.make()
    assert "zanzibar" in text("/datasets/first/")
    rows.look(Message.objects.get(conversation=battle.conversation_b_id, position=1), "human_blocked")
    page = text("/datasets/first/")
    assert "zanzibar" not in page and "None of the first conversations" in page


def test_16_without_a_policy_nothing_is_previewed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows.releasable(prompt="Where is zanzibar?")
    making.make()

    def broken() -> str:
        raise policy.PolicyError("broken")

    monkeypatch.setattr(verdicts, "current_policy", broken)
    assert "zanzibar" not in text("/datasets/first/")


def test_a_long_message_is_cut_in_the_preview() -> None:
    rows.releasable(a="x" * 5000, b="y" * 5000)
    making.make()
    assert max(len(run) for run in re.findall("x+|y+", text("/datasets/first/"))) == 400


def test_removals_name_what_was_deleted_or_withdrawn_since() -> None:
    stays, erased, withdrawn, gone = (rows.releasable() for _ in range(4))
    making.make()
    making.make("second")
    assert text("/datasets/removals.txt") == ""
    removals.forget()
    Conversation.objects.filter(pk=erased.conversation_a_id).update(erased_at=clock.now())
    factories.consent(withdrawn.visitor, publish=False)
    gone.visitor.delete()
    expected = {public_id(erased.conversation_a_id)}
    expected |= {public_id(b.conversation_id(side)) for b in (withdrawn, gone) for side in "ab"}
    assert removals.public_ids() == sorted(expected), "each once, whatever the number of releases"
    assert text("/datasets/removals.txt").split("\n")[:-1] == sorted(expected)
    factories.consent(withdrawn.visitor, publish=True)
    assert removals.public_ids() == sorted(expected), "nobody leaves the list again"
    assert public_id(stays.conversation_a_id) not in removals.public_ids()


def test_removals_are_computed_once_a_minute_and_sent_once_to_who_keeps_them(
    monkeypatch, django_assert_num_queries
) -> None:
    taken_back = rows.releasable()
    making.make()
    client, path = Client(), "/datasets/removals.txt"
    before = client.get(path)
    taken_back.visitor.delete()
    with django_assert_num_queries(0):
        assert client.get(path).content == before.content == b""
        unchanged = client.get(path, headers={"If-None-Match": before["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"") and unchanged["ETag"] == before["ETag"]
    assert before["Cache-Control"] == "no-cache"
    monkeypatch.setattr(removals, "monotonic", lambda: time.monotonic() + removals.FRESH_S)
    after = client.get(path, headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200 and after.content.decode().split() == removals.public_ids() != []


def test_a_withdrawal_before_a_later_battle_does_not_list_that_battle() -> None:
    person = rows.publisher()
    factories.consent(person, publish=False)
    factories.consent(person, publish=True)
    rows.releasable(person)
    making.make()
    assert removals.public_ids() == []


def test_a_recalled_release_stays_listed_with_its_reason(django_capture_on_commit_callbacks) -> None:
    rows.releasable()
    release = making.make()
    recall(release, django_capture_on_commit_callbacks, " A model\nwas named  wrongly. ")
    assert (release.state, release.recall_reason) == ("recalled", "A model was named wrongly.")
    assert not storage.home("first").exists() and not any(storage.root().iterdir())
    for path in ("/datasets", "/datasets/first/"):
        page = text(path)
        assert "A model was named wrongly." in page and release.digest in page
    assert "data-snippet" not in page and "download>" not in page
    entry = AuditEntry.objects.get(action="recall")
    assert (entry.reason, entry.after) == ("A model was named wrongly.", {"state": "recalled"})
    assert "A model was named wrongly." in text("/datasets/first/manifest.json", 410)


def test_a_recall_is_final_and_wants_a_reason(django_capture_on_commit_callbacks) -> None:
    rows.releasable()
    release = making.make()
    for reason in ("", "  ", "x" * 301):
        with pytest.raises(Refused) as refused:
            releases.recall(release, None, reason)
        assert refused.value.status == 400
    recall(release, django_capture_on_commit_callbacks)
    with pytest.raises(Refused) as refused:
        releases.recall(release, None, "again")
    assert refused.value.status == 409
    with pytest.raises(IntegrityError, match="stays recalled"), transaction.atomic():
        Release.objects.filter(pk=release.pk).update(state="published")
    with pytest.raises(Refused) as refused:
        releases.start("first", None)
    assert refused.value.code == "name_taken"


@pytest.mark.parametrize("name", ["", "-a", "a b", "../a", "A", "ä", "a" * 61, "a/b", "removals.txt"])
def test_names_make_addresses(name: str) -> None:
    with pytest.raises(Refused) as refused:
        releases.start(name, None)
    assert refused.value.status == 400 and not Release.objects.exists()


def test_one_release_at_a_time_and_a_dead_job_frees_its_name() -> None:
    rows.releasable()
    first = releases.start("first", None)
    for name, code in (("first", "name_taken"), ("second", "busy")):
        with pytest.raises(Refused) as refused:
            releases.start(name, None)
        assert refused.value.code == code
    releases.jobs.fail(first.job_id, "Its worker stopped. Start it again.")
    again = releases.start("first", None)
    assert again.pk == first.pk and again.job_id != first.job_id


def test_a_broken_policy_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise policy.PolicyError("broken")

    monkeypatch.setattr(verdicts, "current_policy", broken)
    with pytest.raises(Refused) as refused:
        releases.start("first", None)
    assert refused.value.status == 503 and not Release.objects.exists()


def test_pages_without_the_files_at_hand_still_open() -> None:
    rows.releasable()
    making.make()
    storage.remove("first")
    assert "SHA256SUMS" in text("/datasets/first/")


def test_the_list_is_paged(settings: Settings) -> None:
    for number in range(25):
        Release.objects.create(name=f"r{number}", state="published", published_at=clock.now(), policy="1", licence="x")
    assert len(re.findall(r'class="card release"', text("/datasets"))) == 20
    assert len(re.findall(r'class="card release"', text("/datasets?page=2"))) == 5


# --- The public API ---------------------------------------------------------------------------------------------------


def get(path: str, status: int = 200) -> dict:
    answer = Client().get(path)
    assert answer.status_code == status, answer.content
    return json.loads(answer.content)


def test_the_api_lists_what_the_page_lists(django_capture_on_commit_callbacks) -> None:
    rows.releasable()
    release = making.make()
    told = get("/api/v1/releases")
    assert told["count"] == 1 and told["removals"] == "http://testserver/datasets/removals.txt"
    (one,) = told["releases"]
    assert one == get("/api/v1/releases/first")
    assert (one["conversations"], one["sha256"], one["state"]) == (2, release.digest, "published")
    by_path = {file["path"]: file for file in one["files"]}
    data = by_path["data/train-00000-of-00001.parquet"]
    assert data["rows"] == 2 and data["url"] == "http://testserver/datasets/first/data/train-00000-of-00001.parquet"
    assert set(by_path) == {file.path for file in release.files.all()}
    recall(release, django_capture_on_commit_callbacks)
    after = get("/api/v1/releases/first")
    assert (after["state"], after["recall_reason"], after["files"]) == ("recalled", "A model was named wrongly.", [])


def test_the_api_says_no_in_its_own_shape() -> None:
    Release.objects.create(name="open", policy="1", licence="x")
    assert get("/api/v1/releases") == {
        "count": 0,
        "removals": "http://testserver/datasets/removals.txt",
        "releases": [],
    }
    assert get("/api/v1/releases/open", 404)["detail"] == "No release has this name."
    assert "limit" in get("/api/v1/releases?limit=0", 422)["detail"]
    assert "offset" in get("/api/v1/releases?offset=-1", 422)["detail"]
