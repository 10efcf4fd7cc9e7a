"""The catalogues: complete, compiled, with the same placeholders and tags, and in the right tone."""

import re
import struct

import pytest
from babel.messages.catalog import Message
from django.conf import settings
from django.utils.translation import gettext, ngettext, override

from tests import messages

LANGUAGES = messages.languages()
FILL = re.compile(r"%(?:\((\w+)\))?[sdif]|%%[sp]?|\{\w*\}")
TAG = re.compile(r"</?[a-z][^>]*>")
TEMPLATE = """{% load i18n %}  <p>indented {{ n }}</p>
{# Translators: on a button #}
{% translate "95 % sure" %}{% translate 'Report' context "verb" %}
 {% blocktranslate trimmed count n=n %}
   {{ n }} vote
 {% plural %}
   {{ n }} votes
 {% endblocktranslate %}{{ x|default:_("none") }}
{% blocktranslate with a=b context "c" %}{{ a }} "quoted"{% endblocktranslate %}"""


def told(entries: list[Message]) -> str:
    return "\n".join(f"{', '.join(place for place, _ in entry.locations)}: {entry.id!r}" for entry in entries)


def every(language: str) -> list[Message]:
    return [message for message in messages.updated(language) if message.id]


def test_every_language_of_the_site_has_a_catalogue() -> None:
    assert {code for code, _name in settings.LANGUAGES} == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_is_translated(language: str) -> None:
    left = [message for message in every(language) if not messages.translated(message.string)]
    where = messages.po_file(language).relative_to(messages.ROOT)
    assert not left, f"`make messages`, fill in {where} (docs/translating.md), `make messages`:\n{told(left)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_files_are_what_the_sources_and_the_compiler_make(language: str) -> None:
    """Also: no fuzzy and no obsolete entry, whatever was edited by hand."""
    catalog, path = messages.updated(language), messages.po_file(language)
    assert path.read_bytes() == messages.as_po(catalog), f"{path} is behind the sources: run `make messages`"
    assert path.with_suffix(".mo").read_bytes() == messages.as_mo(catalog), "django.mo is behind: run `make messages`"
    assert not re.search(r"^#(,.*fuzzy|~)", path.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_and_tags_survive(language: str) -> None:
    for message in every(language):
        originals = [message.id] if isinstance(message.id, str) else [*message.id]
        forms = [message.string] if isinstance(message.string, str) else [*message.string]
        fills, tags = marks(originals[-1], FILL), marks(originals[-1], TAG)
        for form in forms:
            assert marks(form, FILL) == fills and marks(form, TAG) == tags, (message.id, form)
            assert form.strip() == form or originals[0].strip() != originals[0], (message.id, form)


def marks(text: str, pattern: re.Pattern[str]) -> list[str]:
    return sorted(found.group() for found in pattern.finditer(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_have_every_form(language: str) -> None:
    catalog = messages.updated(language)
    wrong = [m for m in catalog if isinstance(m.id, tuple) and len(m.string) != catalog.num_plurals]
    assert not wrong, told(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_is_shouted_at(language: str) -> None:
    loud = [message for message in every(language) if "!" in str(message.string)]
    assert not loud, told(loud)


def test_german_says_sie_and_keeps_to_the_glossary() -> None:
    for message in every("de"):
        english, german = str(message.id), str(message.string)
        if "arena/views/examples.py" in {place for place, _ in message.locations}:
            continue  # what a person says to a model
        assert not re.search(r"\b(du|dich|dir|deine?[rmns]?|euch|eure?)\b", german, re.IGNORECASE), german
        assert not re.search(r"\b(Battle|Leaderboard|Rating|Score|Vote)s?\b", german), german
        if re.search(r"\bleaderboard\b", english, re.IGNORECASE):
            assert "Rangliste" in german, german
        if re.search(r"\bcodename\b", english):
            assert "Deckname" in german, german


def test_the_compiled_catalogue_speaks() -> None:
    with override("de"):
        assert gettext("Battle") == "Duell"
        assert [ngettext("%(n)s vote", "%(n)s votes", n) % {"n": n} for n in (1, 2)] == ["1 Stimme", "2 Stimmen"]


def test_templates_are_read_in_every_way_of_writing() -> None:
    found = [(text, context) for _line, text, _comments, context in messages.strings(messages.python_of(TEMPLATE))]
    assert found == [
        ("95 %% sure", None),
        ("Report", "verb"),
        (("%(n)s vote", "%(n)s votes"), None),
        ("none", None),
        ('%(a)s "quoted"', "c"),
    ]


def test_python_is_read_in_every_way_of_writing() -> None:
    source = b"""_("a" "b"); gettext_lazy("c"); ngettext("one", "%(n)d", n); pgettext("verb", "d")
npgettext_lazy("past", "day", "days", "num"); log("not this"); host, _ = x"""
    found = [(text, context) for _line, text, _comments, context in messages.strings(source)]
    assert found == [
        ("ab", None),
        ("c", None),
        (("one", "%(n)d"), None),
        ("d", "verb"),
        (("day", "days"), "past"),
    ]


def test_what_the_policy_says_is_in_the_catalogue() -> None:
    assert len(messages.policy_texts()) >= 8
    known = {message.id for message in messages.updated("de")}
    assert set(messages.policy_texts()) <= known


def test_a_changed_string_is_a_new_one(tmp_path, monkeypatch) -> None:
    """The old translation is never guessed onto a new text, and goes with the old text."""
    monkeypatch.setattr(messages, "LOCALE", tmp_path)
    monkeypatch.setattr(messages, "sources", lambda: [("a.py", b'_("Two models answer")')])
    messages.write("de")
    path = messages.po_file("de")
    path.write_text(path.read_text().replace('msgstr ""\n', 'msgstr "Zwei"\n').replace('msgstr "Zwei"', 'msgstr ""', 1))
    assert messages.write("de") == (1, 0)
    monkeypatch.setattr(messages, "sources", lambda: [("a.py", b'_("Two models will answer")')])
    assert messages.write("de") == (1, 1)
    assert "Zwei" not in path.read_text()


def test_the_compiled_file_tells_no_date_and_no_version() -> None:
    data = messages.po_file("de").with_suffix(".mo").read_bytes()
    assert struct.unpack("<I", data[:4])[0] == 0x950412DE
    assert b"-Date:" not in data and b"Babel" not in data
