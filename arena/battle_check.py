"""One battle to the vote, over HTTP, the way a browser without scripts plays it. For `up --check` and benchmarks."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, Request, build_opener

PROMPT = "Name three uses of a rope."
PATIENCE_S = 120.0
REQUEST_S = 30.0


@dataclass
class Outcome:
    """What happened. `first_token_s` and `done_s` count from `sent_at` (monotonic clock), when the prompt was sent."""

    passed: bool
    steps: list[str] = field(default_factory=list)
    sent_at: float = 0.0
    first_token_s: float | None = None
    done_s: float | None = None
    battle_url: str = ""

    def __str__(self) -> str:
        return "\n".join([*self.steps, "check: " + ("passed" if self.passed else "FAILED")])


class CheckFailed(RuntimeError):
    """A step did not give what a browser needs."""


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)  # buttons and boxes: name -> values


class Forms(HTMLParser):
    """The forms of a page, with the fields that a plain submit would send."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""))
            self.found.append(self._open)
        elif self._open and tag in ("input", "textarea", "button") and given.get("name"):
            picked = tag == "button" or given.get("type") in ("checkbox", "radio", "submit")
            if picked:
                self._open.choices.setdefault(given["name"], []).append(given.get("value", ""))
            else:
                self._open.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


class Browser:
    """Cookies, redirects and forms of one visitor."""

    def __init__(self, site: str) -> None:
        self.url = site
        self.html = ""
        # no proxy: the site is on this machine
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def visit(self, url: str, data: dict[str, str] | None = None) -> None:
        body = urlencode(data).encode() if data is not None else None
        request = Request(urljoin(self.url, url), body, {"Referer": self.url, "Accept": "text/html"})  # noqa: S310
        try:
            with self._opener.open(request, timeout=REQUEST_S) as answer:
                self.url, self.html = answer.url, answer.read().decode()
        except HTTPError as error:
            raise CheckFailed(f"{request.get_method()} {request.full_url} answered {error.code}") from None

    def form(self, field_name: str) -> Form:
        for form in Forms(self.html).found:
            if field_name in form.fields or field_name in form.choices:
                return form
        raise CheckFailed(f"{self.url} has no form with {field_name!r}")

    def events(self, url: str, deadline: float) -> Iterator[str]:
        """Names of server-sent events, as they come."""
        request = Request(urljoin(self.url, url), None, {"Accept": "text/event-stream"})  # noqa: S310
        with self._opener.open(request, timeout=REQUEST_S) as stream:
            for line in stream:
                if time.monotonic() > deadline:
                    raise CheckFailed("the answers did not end in time")
                if line.startswith(b"event:"):
                    yield line[6:].decode().strip()


def play(site: str, prompt: str = PROMPT) -> Outcome:
    """Start page, consent, prompt, both answers, vote, reveal. Never raises for what the site does."""
    outcome = Outcome(False)
    try:
        _play(Browser(site), prompt, outcome)
    except (CheckFailed, OSError) as error:
        outcome.steps.append(f"failed: {error}")
    else:
        outcome.passed = True
    return outcome


def _play(browser: Browser, prompt: str, outcome: Outcome) -> None:
    browser.visit("/")
    form = browser.form("prompt")
    outcome.sent_at = time.monotonic()
    browser.visit(form.action, {**form.fields, "prompt": prompt, "agree_terms": "1"})
    outcome.battle_url = browser.url
    outcome.steps.append(f"battle: {browser.url}")
    _read_answers(browser, outcome)
    _vote(browser, outcome)


def _read_answers(browser: Browser, outcome: Outcome) -> None:
    sent = outcome.sent_at
    stream = browser.url.rstrip("/") + "/turns/1/stream"
    for name in browser.events(stream, sent + PATIENCE_S):
        if outcome.first_token_s is None and name not in ("status", "reset", "hello"):
            outcome.first_token_s = time.monotonic() - sent
        if name == "done":
            break
    outcome.done_s = time.monotonic() - sent
    if outcome.first_token_s is None:
        raise CheckFailed("the stream ended without an answer")
    outcome.steps.append(
        f"answers: first token after {outcome.first_token_s:.1f} s, both done after {outcome.done_s:.1f} s"
    )


def _vote(browser: Browser, outcome: Outcome) -> None:
    browser.visit(outcome.battle_url)
    form = browser.form("choice")
    before = browser.html.count("/models/")
    browser.visit(form.action, {**form.fields, "choice": form.choices["choice"][0]})
    browser.visit(outcome.battle_url)
    if browser.html.count("/models/") < before + 2:
        raise CheckFailed("the vote did not reveal two models")
    outcome.steps.append("vote: counted, both models revealed")
