"""Collects every translatable string and brings the catalogues up to date: `make messages` (`ARGS=fr` begins a new one).

Needs no system gettext: Babel reads the sources, Django's own `templatize` turns templates into what Babel can read. A catalogue
holds what the sources hold now, sorted, without line numbers and dates, so that a diff shows strings and nothing else. What
is no longer used goes; a changed string is a new one and never a guess (no fuzzy entries). Compiled catalogues are committed:
the product has no compiler for them, and a clone must speak every language at once.
"""

import sys
import tomllib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.core import Locale
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "arena" / "locale"
PACKAGES = ("arena", "inference", "ranking", "datasets")
POLICY = ROOT / "arena" / "moderation" / "policy.toml"
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
COMMENTS = ("Translators:",)
HEADER = """\
# {name} texts of Agon. `make messages` keeps the entries; only the translations are written by hand.
# docs/translating.md has the rules and the glossary."""


class Stable(Catalog):
    """A catalogue whose header tells nothing but how to read it."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:  # type: ignore[override]
        return [
            ("Language", str(self.locale)),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def python_files() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in found if "migrations" not in path.parts)


def template_files() -> list[Path]:
    return sorted(path for path in (ROOT / "templates").rglob("*") if path.suffix in (".html", ".txt"))


def sources() -> Iterator[tuple[str, bytes]]:
    """Path from the root, and Python source that calls gettext with every string of the file."""
    for path in python_files():
        yield path.relative_to(ROOT).as_posix(), path.read_bytes()
    for path in template_files():
        yield path.relative_to(ROOT).as_posix(), python_of(path.read_text("utf-8"))
    yield POLICY.relative_to(ROOT).as_posix(), "\n".join(f"_({text!r})" for text in policy_texts()).encode()


def python_of(template: str) -> bytes:
    """A template as Python; in brackets, since its indentation means nothing."""
    return f"({templatize(template)}\n)".encode()


def strings(source: bytes) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    """Line, string (or singular and plural), comments for translators, and context of every gettext call."""
    return extract("python", BytesIO(source), KEYWORDS, COMMENTS, {"encoding": "utf-8"})  # type: ignore[return-value]


def policy_texts() -> list[str]:
    """What the prompt gate says to people stands in the policy and is translated when it is said."""
    categories = tomllib.loads(POLICY.read_text("utf-8"))["categories"].values()
    return [text for category in categories for text in (category["words"], *category.get("help_lines", ()))]


def collect(language: str) -> Catalog:
    """Every string of the sources, untranslated."""
    catalog = Stable(language, fuzzy=False, header_comment=HEADER.format(name=Locale.parse(language).english_name))
    for path, source in sources():
        for line, message, comments, context in strings(source):
            catalog.add(message, locations=[(path, line)], auto_comments=comments, context=context)
    return catalog


def read(language: str) -> Catalog:
    """The catalogue as it is on the disk; empty for a new language."""
    path = po_file(language)
    return read_po(BytesIO(path.read_bytes() if path.exists() else b""), language)


def updated(language: str) -> Catalog:
    """Every string of the sources, with the translations that the catalogue has for exactly these."""
    catalog, known = collect(language), read(language)
    for message in catalog:
        old = known.get(message.id, message.context) if message.id else None
        if old is not None and old.id == message.id and not old.fuzzy:
            message.string, message.user_comments = old.string, old.user_comments
    return catalog


def as_po(catalog: Catalog) -> bytes:
    out = BytesIO()
    write_po(out, catalog, width=0, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return out.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    out = BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def po_file(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def languages() -> list[str]:
    return sorted(path.parent.parent.name for path in LOCALE.glob("*/LC_MESSAGES/django.po"))


def write(language: str) -> tuple[int, int]:
    """Bring one language up to date. Returns how many strings there are, and how many wait for a translation."""
    catalog, path = updated(language), po_file(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_po(catalog))
    path.with_suffix(".mo").write_bytes(as_mo(catalog))
    return len(catalog), sum(not translated(message.string) for message in catalog if message.id)


def translated(string: str | tuple[str, ...] | list[str]) -> bool:
    return bool(string) if isinstance(string, str) else bool(string) and all(string)


if __name__ == "__main__":
    for code in sorted({*languages(), *sys.argv[1:]}):
        number, waiting = write(code)
        print(f"{po_file(code).relative_to(ROOT)}: {number} strings, {waiting} not translated")
