"""What a person does with a battle page, in the words of the tests."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.stack import Stack

AXE = Path(__file__).parent / "vendor" / "axe" / "axe.min.js"
PATIENCE_MS = 30_000  # of every wait: it ends as soon as there is what it waits for


def stub(question: str = "Tell me something", **settings: object) -> str:
    """A prompt that tells the stub engine how to answer."""
    return f"{question} {json.dumps({'stub': settings})}"


class Person:
    """One browser window. `errors` collects what its console complained about."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page, self.stack = page, stack
        self.errors: list[str] = []
        self.expected: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.set_default_timeout(PATIENCE_MS)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(words in message.text for words in self.expected):
            self.errors.append(f"{self.page.url}: {message.text}")

    def expect_error(self, words: str) -> None:
        """Chromium reports every 4xx and 5xx answer in the console; a test that provokes one names it."""
        self.expected.append(words)

    # --- doing --------------------------------------------------------------------------------------------------------
    def begin(self, prompt: str, agree: bool = True) -> None:
        """From the start page to the battle."""
        self.page.goto("/")
        if agree and self.page.locator("[name=agree_terms]").count():
            self.page.check("[name=agree_terms]")
        self.page.fill("#prompt", prompt)
        self.page.click("text=Start the battle")
        self.page.wait_for_url("**/b/*/")

    def finished(self, phase: str = "ready") -> None:
        """Wait until both answers are complete and the page has said so."""
        expect(self.page.locator(f"#battle[data-phase={phase}]")).to_be_attached()

    def go_on(self) -> None:
        """Both answers have begun; those that the stub holds after some words (`hold`, `after`) now go on."""
        for side in "ab":
            expect(self.page.locator(f"#text-{side}-1")).not_to_be_empty()
        self.stack.stub("/stub/go", "POST")

    def ready(self, prompt: str = "") -> None:
        self.begin(prompt or stub(n=6, rate=200))
        self.finished()

    def vote(self, choice: str = "a") -> None:
        self.page.click(f"#vote [value={choice}]")
        self.finished("voted")

    def ask(self, prompt: str) -> None:
        self.page.fill("#prompt", prompt)
        self.page.press("#prompt", "Enter")

    # --- looking ------------------------------------------------------------------------------------------------------
    def text(self, side: str, turn: int = 1) -> str:
        return self.page.locator(f"#text-{side}-{turn}").text_content() or ""

    def violations(self) -> list[Any]:
        """axe-core's complaints about the page as it is now."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("() => axe.run()")["violations"]
        return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]

    def fetch(self, path: str, htmx: bool = False) -> bytes:
        """Status, headers and body of a GET with this person's cookies, as they come over the wire."""
        cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in self.page.context.cookies())
        headers = {"Cookie": cookies} | ({"HX-Request": "true"} if htmx else {})
        request = urllib.request.Request(self.stack.url + path, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=PATIENCE_MS / 1000)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return f"{answer.status}\n{answer.headers}".encode() + answer.read()
