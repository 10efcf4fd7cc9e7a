"""A person without a browser: cookies, CSRF, forms and the event stream, over plain HTTP."""

import http.client
import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from uuid import uuid4

TIMEOUT_S = 30.0


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Told:
    """One event of a turn's stream."""

    id: str
    name: str
    data: dict


@dataclass
class Screen:
    """What the browser shows of one turn, by the rules of docs/architecture.md: reset, append, replace."""

    html: dict[str, str] = field(default_factory=lambda: {"a": "", "b": ""})
    tail: dict[str, str] = field(default_factory=lambda: {"a": "", "b": ""})
    ended: dict[str, str] = field(default_factory=dict)
    battle: str = ""
    next: str = ""
    last_id: str = ""
    ids: list[str] = field(default_factory=list)

    def apply(self, told: Told) -> None:
        self.last_id = told.id
        self.ids.append(told.id)
        if told.name == "reset":
            side = told.data["side"]
            self.html[side] = self.tail[side] = ""
            self.ended.pop(side, None)
        elif told.name == "frame":
            for side, frame in told.data.items():
                self.html[side] += "".join(frame.get("blocks", []))
                self.tail[side] = frame["tail"] if "tail" in frame else self.tail[side] + frame.get("add", "")
        elif told.name == "side":
            self.ended[told.data["side"]] = told.data["state"]
        elif told.name == "done":
            self.battle, self.next = told.data["battle"], told.data.get("next", "")

    def text(self, side: str) -> str:
        """The visible text of a side, without markup."""
        return " ".join((re.sub(r"<[^>]+>", " ", self.html[side]) + " " + self.tail[side]).split())


class Person:
    """One browser's worth of state at one site."""

    def __init__(self, url: str) -> None:
        self.host = urllib.parse.urlsplit(url).netloc
        self.cookies: dict[str, str] = {}
        self.seen: list[bytes] = []  # every byte that the server has sent

    def request(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        with closing(http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)) as connection:
            body = urllib.parse.urlencode(form or {}) if method == "POST" else None
            connection.request(method, path, body, self._headers(method) | headers)
            response = connection.getresponse()
            self._keep(response)
            text = response.read()
            self.seen.append(text + str(response.getheaders()).encode())
            headers = {name.title(): value for name, value in response.getheaders()}
            return Page(response.status, headers, text.decode())

    def get(self, path: str) -> Page:
        return self.request("GET", path)

    def post(self, path: str, **form: str) -> Page:
        if "csrftoken" not in self.cookies:
            self.get("/")
        return self.request("POST", path, {"csrfmiddlewaretoken": self.cookies.get("csrftoken", "")} | form)

    def _headers(self, method: str) -> dict[str, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method == "POST":
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{self.host}"}
        return headers

    def _keep(self, response: http.client.HTTPResponse) -> None:
        for header in response.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value

    # --- battles ----------------------------------------------------------------------------------------------------

    def start(self, prompt: str) -> str:
        """Begin a battle; its path, `/b/<id>/`."""
        page = self.post("/battles/", prompt=prompt, key=str(uuid4()), agree_terms="on")
        assert page.status == 303, f"{page.status}: {page.text[:500]}"
        return page.headers["Location"]

    def events(self, battle: str, number: int = 1, last_id: str = "", patience_s: float = 60.0) -> Iterator[Told]:
        """The turn's events, reconnecting like a browser does, until `done`."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            try:
                for told in self._connect(battle, number, last_id, deadline):
                    last_id = told.id
                    yield told
                    if told.name == "done":
                        return
            except (OSError, http.client.HTTPException):
                pass  # the server went away: come back
            time.sleep(0.2)
        raise AssertionError(f"no end of {battle} within {patience_s:g} s")

    def _connect(self, battle: str, number: int, last_id: str, deadline: float) -> Iterator[Told]:
        with closing(http.client.HTTPConnection(self.host, timeout=deadline - time.monotonic())) as connection:
            headers = self._headers("GET") | ({"Last-Event-ID": last_id} if last_id else {})
            connection.request("GET", f"{battle}turns/{number}/stream", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"stream answered {response.status}")
            self.seen.append(str(response.getheaders()).encode())
            entry: dict[str, str] = {}
            for raw in response:
                if time.monotonic() > deadline:  # keep-alives would go on for ever
                    return
                self.seen.append(raw)
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name:
                    entry[name] = value
                elif "event" in entry:
                    yield Told(entry.get("id", ""), entry["event"], json.loads(entry["data"]))
                    entry = {}

    def watch(self, battle: str, number: int = 1, patience_s: float = 60.0) -> Screen:
        """Read the turn to its end; the screen as a browser would show it."""
        screen = Screen()
        for told in self.events(battle, number, patience_s=patience_s):
            screen.apply(told)
        return screen

    def vote(self, battle: str, choice: str = "a", turn: int = 1) -> Page:
        return self.post(f"{battle}vote/", choice=choice, turn=str(turn))
