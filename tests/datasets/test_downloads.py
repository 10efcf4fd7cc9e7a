"""Downloads over real HTTP: parts, conditions, recalls, and what is not to be had."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from pytest_django import Settings

from arena import clock
from datasets import downloads, releases, storage
from datasets.models import Release, ReleaseFile
from tests.datasets import making, rows
from tests.datasets.site import Site, site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey", "releases_dir")]
PATH = "/datasets/first/data/train-00000-of-00001.parquet"
LARGE = 40_000_000
OUTSIDE = [
    *("../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "/etc/passwd", "data/../../secret.txt"),
    *("unlisted.txt", "data", "%00"),
]


@pytest.fixture
def served(releases_dir: object) -> Iterator[Site]:
    rows.releasable()
    making.make()
    with site() as running:
        yield running


def large() -> str:
    """A published file that no socket buffer holds; returns its address."""
    now = clock.now()
    release = Release.objects.create(name="large", state="published", published_at=now, policy="1", licence="x")
    storage.home("large").mkdir(parents=True)
    (storage.home("large") / "big.json").write_bytes(bytes(LARGE))
    ReleaseFile.objects.create(release=release, path="big.json", size=LARGE, sha256="0" * 64)
    return "/datasets/large/big.json"


def test_whole_files_parts_and_conditions(served: Site) -> None:
    (path,) = storage.home("first").glob("data/*")
    content, tag = path.read_bytes(), f'"{storage.digest(path)}"'
    whole = served.ask(PATH)
    assert (whole.status, whole.body) == (200, content)
    headers = whole.headers
    assert headers["etag"] == tag and headers["accept-ranges"] == "bytes"
    assert headers["cache-control"] == "public, max-age=86400, immutable"
    assert headers["content-disposition"] == 'attachment; filename="train-00000-of-00001.parquet"'
    assert (
        headers["content-type"] == "application/vnd.apache.parquet" and headers["x-content-type-options"] == "nosniff"
    )
    assert "set-cookie" not in headers

    part = served.ask(PATH, Range="bytes=4-99")
    assert (part.status, part.body) == (206, content[4:100])
    assert part.headers["content-range"] == f"bytes 4-99/{len(content)}"
    resumed = served.ask(PATH, Range="bytes=100-", If_Range=tag)
    assert (resumed.status, resumed.body) == (206, content[100:])
    assert served.ask(PATH, Range="bytes=-8").body == content[-8:]
    assert served.ask(PATH, Range="bytes=100-", If_Range='"old"').body == content
    assert served.ask(PATH, Range="bytes=0-1,4-5").body == content, "several ranges: the whole file"
    behind = served.ask(PATH, Range=f"bytes={len(content)}-")
    assert behind.status == 416 and behind.headers["content-range"] == f"bytes */{len(content)}"

    assert served.ask(PATH, If_None_Match=tag).status == 304
    assert served.ask(PATH, If_Modified_Since=headers["last-modified"]).status == 304
    head = served.ask(PATH, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(content)))
    assert served.ask(PATH, "POST").status in (403, 405)


def test_17_nothing_else_is_to_be_had(served: Site) -> None:
    """Paths outside, files that no row names, releases that are not published."""
    (storage.root() / "secret.txt").write_text("secret")
    (storage.home("first") / "unlisted.txt").write_text("unlisted")
    for path in OUTSIDE:
        answer = served.ask(f"/datasets/first/{path}")
        assert answer.status == 404 and b"secret" not in answer.body.replace(b"secret.txt", b""), path
    for state in ("building", "failed"):
        Release.objects.update(state=state, published_at=None)
        assert served.ask(PATH).status == 404
        assert served.ask("/datasets/first/").status == 404
        assert b"/datasets/first/" not in served.ask("/datasets").body


def test_17_a_recalled_release_answers_410_and_says_why(served: Site) -> None:
    releases.recall(Release.objects.get(), None, "A model was named wrongly.")
    for extra in ({}, {"Range": "bytes=0-3"}, {"If_None_Match": "*"}):
        answer = served.ask(PATH, **extra)
        assert answer.status == 410 and b"A model was named wrongly." in answer.body
        assert answer.headers["content-type"].startswith("application/problem+json")
    page = served.ask(PATH, Accept="text/html,*/*")
    assert page.status == 410 and b"<h1>" in page.body and b"A model was named wrongly." in page.body
    assert served.ask("/datasets/first/never-there").status == 404
    assert not storage.home("first").exists()


def test_a_recall_ends_downloads_that_are_under_way(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "ASK_AGAIN_S", 0.0)
    with closing(served.begin(large())) as reader:
        assert reader.recv(1000).startswith(b"HTTP/1.1 200")
        releases.recall(Release.objects.get(name="large"), None, "Wrong.")
        received = 0
        while piece := reader.recv(1 << 20):
            received += len(piece)
    assert 0 < received < LARGE - 1_000_000


def test_slow_readers_hold_no_threads_and_their_number_is_bounded(served: Site, settings: Settings) -> None:
    address, readers, threads = large(), [], threading.active_count()
    try:
        for _ in range(40):
            readers.append(served.begin(address))
            assert readers[-1].recv(100)
        started = time.monotonic()
        assert served.ask(PATH).status == 200
        assert time.monotonic() - started < 20
        assert threading.active_count() < threads + 20
        settings.RELEASE_DOWNLOADS = 40
        full = served.ask(PATH)
        assert (full.status, full.headers["retry-after"]) == (503, "60")
    finally:
        for reader in readers:
            reader.close()
    deadline = time.monotonic() + 10
    while downloads._open and time.monotonic() < deadline:
        time.sleep(0.05)
    assert downloads._open == 0, "readers who left have given their places back"
    assert served.ask(PATH).status == 200


def test_a_stalled_reader_loses_its_place(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STALLED_S", 0.2)
    with closing(served.begin(large())) as reader:
        assert reader.recv(10)
        deadline = time.monotonic() + 10
        while downloads._open and time.monotonic() < deadline:
            time.sleep(0.05)
    assert downloads._open == 0


def test_a_file_that_is_not_at_hand_is_not_a_404(served: Site) -> None:
    (path,) = storage.home("first").glob("data/*")
    path.unlink()
    assert served.ask(PATH).status == 503


def test_large_files_arrive_whole(served: Site) -> None:
    answer = served.ask(large())
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(bytes(LARGE)).digest()
