"""What describes a release and travels with it: README.md (the card), LICENSE, manifest.json and SHA256SUMS.

The card is English whatever language the site speaks, and holds figures and names only, never a word of a conversation.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from datasets import storage
from datasets.models import Release
from datasets.reasons import Drop
from datasets.rows import CATEGORIES, COLUMNS

LICENCE = "CC-BY-4.0 for prompts, their makers' terms for answers"
LICENCE_FILE = Path(__file__).with_name("licence.txt")
README, MANIFEST, SUMS = "README.md", "manifest.json", "SHA256SUMS"
SCHEMA_VERSION = 1
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write(release: Release, out: Path) -> dict[str, str]:
    """Add the four files to the data below `out`. Returns the digest of every file of the release by its path."""
    digests = {path.relative_to(out).as_posix(): storage.digest(path) for path in storage.files(out)}
    texts = {
        MANIFEST: json.dumps(manifest(release, digests), indent=1, ensure_ascii=False) + "\n",
        README: readme(release, sum(path.stat().st_size for path in out.glob("data/*"))),
        "LICENSE": LICENCE_FILE.read_text("utf-8"),
    }
    for name, text in texts.items():
        (out / name).write_text(text, "utf-8")
        digests[name] = storage.digest(out / name)
    sums = "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))
    (out / SUMS).write_text(sums, "utf-8")
    return digests | {SUMS: storage.digest(out / SUMS)}


def manifest(release: Release, digests: Mapping[str, str]) -> dict[str, Any]:
    """The release in figures, for programs."""
    return {
        "name": release.name,
        "schema": {"name": "lmsys-chat-1m", "version": SCHEMA_VERSION, "columns": list(COLUMNS)},
        "licence": release.licence,
        "policy": release.policy,
        "conversations": release.conversations,
        "messages": release.messages,
        "dropped": release.dropped,
        **release.facts,
        "files": [
            {"path": path, "sha256": digest, "rows": release.facts["rows"].get(path)}
            for path, digest in sorted(digests.items())
        ],
    }


def readme(release: Release, download_size: int) -> str:
    """README.md: what the hub reads as front matter, and what people should know before they use the data."""
    with translation.override("en"):
        labels = dict(Drop.choices)
        context = {
            "release": release,
            "facts": release.facts,
            "download_size": download_size,
            "models": [(_cell(name), count) for name, count in release.facts["models"].items()],
            "dropped": [(reason, labels[reason], count) for reason, count in release.dropped.items()],
            "categories": CATEGORIES,
            "size": next((words for most, words in SIZES if release.conversations < most), "n>10M"),
            "removals": settings.SITE_URL.rstrip("/") + "/datasets/removals.txt",
        }
        return render_to_string("datasets/card.md", context)


def _cell(text: str) -> str:
    """A name inside a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def body(text: str) -> str:
    """A card without its front matter."""
    return text.split("\n---\n", 1)[-1].lstrip() if text.startswith("---\n") else text


def counts(dropped: Mapping[str, int]) -> str:
    """Reasons and their counts on one line, the most frequent first."""
    return ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1]))
