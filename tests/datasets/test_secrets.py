"""S21 and item 19: what must never leave is planted where the site knows it, and then looked for in every byte of a release."""

import gzip
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest
from django.conf import settings
from django.test import Client

from arena import clock, pages, visitors, votes
from arena.models import Battle, Report, SiteConfig, Turn
from datasets import storage
from tests import factories
from tests.datasets import making, rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey", "releases_dir")]
ADDRESS = "203.0.113.77"
EMAIL = "canary.person@example.org"
SYSTEM_PROMPT, UPSTREAM = "canary-system-prompt", "canary-upstream-name"
NOTE = "canary-note-of-a-moderator"


def told() -> tuple[Battle, str]:
    """A battle sent through the site's own form by a browser with an address; the battle, and the cookie."""
    pages.install()
    SiteConfig.objects.get_or_create(pk=1)
    factories.contestant(system_prompt=SYSTEM_PROMPT, model=UPSTREAM)
    factories.contestant(system_prompt=SYSTEM_PROMPT, model=UPSTREAM)
    client = Client(REMOTE_ADDR=ADDRESS, HTTP_USER_AGENT="canary-agent/1.0", HTTP_ACCEPT_LANGUAGE="en-canary")
    form = {"prompt": "Why is the sky blue?", "key": str(uuid4()), "agree_terms": "on", "publish": "on"}
    assert client.post("/battles/", form).status_code == 303
    return factories.finish(Turn.objects.get()), client.cookies[visitors.COOKIE].value


def test_21_no_file_holds_what_must_stay() -> None:
    battle, cookie = told()
    votes.cast_vote(battle.pk, "a", 1)
    for message in rows.messages(battle):
        rows.look(message, reason=NOTE)
        rows.enrich(message)
    turn = battle.turns.get()
    withheld = rows.releasable(prompt=f"Write to {EMAIL}")
    for message in rows.messages(withheld):
        if EMAIL in message.text:
            rows.enrich(message, pii=[["email", 9, 9 + len(EMAIL)]])
    Report.objects.create(
        reply=turn.replies.first(), reason="other", text=NOTE, decision="dismissed", decided_at=clock.now()
    )
    release = making.make()
    assert release.conversations == 2 and release.dropped == {"personal_data": 2}

    canaries = {
        "address": ADDRESS,
        "cookie": cookie,
        "agent": "canary-agent",
        "language header": "en-canary",
        "e-mail": EMAIL,
        "note": NOTE,
        "system prompt": SYSTEM_PROMPT,
        "upstream": UPSTREAM,
        "group": turn.group,
        "secret key": settings.SECRET_KEY,
        "release key": settings.RELEASE_KEY,
        "seal key": settings.SEAL_KEYS[0],
        "engine": "stub",
    }
    ids = [battle.pk, battle.visitor_id, battle.conversation_a_id, battle.conversation_b_id, turn.pk, turn.key]
    ids += [message.pk for message in rows.messages(battle)] + [battle.revision_a_id, release.pk, release.job_id]
    needles = {name: value.encode() for name, value in canaries.items()}
    needles |= {
        f"id {n} {form}": text.encode()
        for n, one in enumerate(ids)
        for form, text in (("hex", one.hex), ("dashed", str(one)))
    }
    needles |= {f"id {n} bytes": one.bytes for n, one in enumerate(ids)}
    files = storage.files(storage.home("first"))
    assert len(files) == 6 and all(needles.values())
    for path in files:
        content = every_byte(path)
        for name, needle in needles.items():
            assert needle not in content, f"{name} in {path.name}"


def every_byte(path: Path) -> bytes:
    """As it lies on the disk, and unpacked: compression would hide what is looked for."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return raw + gzip.decompress(raw)
    if path.suffix == ".parquet":
        return raw + str(duckdb.sql(f"SELECT * FROM '{path}'").fetchall()).encode()
    return raw


def test_the_scan_finds_what_is_there() -> None:
    rows.releasable(prompt="needle in a haystack")
    making.make()
    found = [
        path.suffix for path in storage.files(storage.home("first")) if b"needle in a haystack" in every_byte(path)
    ]
    assert sorted(found) == [".gz", ".parquet"]
