"""The whole site in one walk, on the real engine: battles, vote, report, moderation, release, backup, wipe, restore."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars
import pytest
from playwright.sync_api import Browser, Page, expect

from arena.embedded import paths
from tests.e2e.person import Person
from tests.up import Up

pytestmark = [pytest.mark.e2e, pytest.mark.demo_model, pytest.mark.slow]
ANSWER_MS = 120_000
QUESTIONS = ("Name three colours.", "What is the capital of France?", "Say hello to a friend.")


@contextmanager
def site(var: Path) -> Iterator[Up]:
    """`make up` on this folder until the block ends."""
    with Up(var) as up:
        up.wait_for(r"Ready in ")
        yield up


@contextmanager
def visit(browser: Browser, up: Up, **state: object) -> Iterator[Person]:
    context = browser.new_context(base_url=up.url, viewport={"width": 1280, "height": 900}, **state)
    person = Person(context.new_page(), up)
    yield person
    context.close()
    assert person.errors == []


def manage(up: Up, *arguments: str) -> str:
    """What a management command prints on this installation."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=paths.PROJECT, env=up.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def play(person: Person, prompt: str) -> None:
    """One battle to the vote, with consent to publish at the first."""
    page = person.page
    page.goto("/")
    if page.locator("[name=agree_terms]").count():
        page.check("[name=agree_terms]")
        page.check("[name=publish]")
    page.fill("#prompt", prompt)
    page.click("text=Start the battle")
    page.wait_for_url("**/b/*/")
    expect(page.locator("#battle[data-phase=ready]")).to_be_attached(timeout=ANSWER_MS)
    person.vote("a")


def report(page: Page) -> None:
    page.click("#answer-a-1 .report-box summary")
    page.check("#answer-a-1 .report-box [name=reason][value=other]")
    page.click("#answer-a-1 .report-box [type=submit]")
    expect(page.locator("#answer-a-1")).to_contain_text("Reported")


def sign_in(page: Page, up: Up) -> None:
    """With the link that the start has printed."""
    printed = next(line for line in up.lines if "/admin-login/" in line)
    page.goto(re.search(r"http\S+", printed)[0])
    page.click("main button")
    page.wait_for_url("**/admin/")


def clear_the_desk(page: Page) -> None:
    """Decide the report, then pass what may be published."""
    page.goto("/desk/reports/")
    page.click("[data-row]")
    page.click("button[value=leave]")
    page.goto("/desk/waiting/?consented=1")
    expect(page.locator("[name=chosen]")).to_have_count(len(QUESTIONS))
    for box in page.locator("[name=chosen]").all():
        box.check()
    page.fill("[name=reason]", "read, nothing personal in it")
    page.click("text=Pass the chosen ones")
    expect(page.locator("main")).to_contain_text("Nothing")


def publish(page: Page, name: str) -> None:
    page.goto("/admin/datasets/release/add/")
    page.fill("[name=name]", name)
    page.click("[value='Write and publish']")
    expect(page.locator("text=View on site")).to_be_visible(timeout=ANSWER_MS)  # the page reloads itself until then


def rows_of(up: Up, name: str) -> polars.DataFrame:
    return polars.read_parquet(io.BytesIO(fetch(f"{up.url}/datasets/{name}/data/train-00000-of-00001.parquet")))


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path("/tmp") / f"agon-walk-{os.getpid()}"
    made.mkdir(mode=0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_walk_of_a_first_day(browser: Browser, folder: Path) -> None:
    archive = folder / "agon.backup"
    with site(folder / "var") as up:
        with visit(browser, up) as voter:
            for question in QUESTIONS:
                play(voter, question)
            report(voter.page)
            cookies = voter.page.context.storage_state()
        with visit(browser, up) as operator:
            sign_in(operator.page, up)
            clear_the_desk(operator.page)
            publish(operator.page, "first")
        released = rows_of(up, "first")
        assert released.height == 2 * len(QUESTIONS)
        sums = fetch(f"{up.url}/datasets/first/SHA256SUMS")
        assert manage(up, "backup", str(archive))
    shutil.rmtree(folder / "var")

    empty = Up(folder / "var")
    manage(empty, "restore", str(archive))
    with site(folder / "var") as again:
        assert rows_of(again, "first").equals(released)
        assert fetch(f"{again.url}/datasets/first/SHA256SUMS") == sums
        for line in sums.decode().splitlines():
            digest, path = line.split(maxsplit=1)
            assert hashlib.sha256(fetch(f"{again.url}/datasets/first/{path.strip()}")).hexdigest() == digest
        cookies["origins"] = []
        for cookie in cookies["cookies"]:
            cookie["domain"] = "127.0.0.1"
        with visit(browser, again, storage_state=cookies) as voter:
            voter.page.goto("/me/")
            for question in QUESTIONS:
                expect(voter.page.locator("main")).to_contain_text(question)
        with visit(browser, again) as operator:
            sign_in(operator.page, again)
            operator.page.goto("/admin/arena/auditentry/")
            expect(operator.page.locator("#content")).to_contain_text("pass")
