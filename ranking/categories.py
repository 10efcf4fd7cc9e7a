"""The categories that a vote can be in, beside "" (overall): their names, public titles and order. The one place that knows them.

A name is part of addresses and of the vote log and never changes its meaning. Boards of categories without a counted vote are
not shown. Which votes are in a category: `ranking/counting/labels.py` decides the ones marked RULE from what detectors found in
the texts; the others come with an import, or from `manage.py import_labels`. Topics are open: `topic_` and words.
"""

import re
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LONGEST = 40  # characters of a name: VoteEvent.categories
OVERALL = ""  # the category that every vote is in


class Category(NamedTuple):
    title: str | Promise
    rule: bool  # decided by ranking/counting/labels.py; an imported label of this name is refused


OTHER: dict[str, Category] = {
    "hard_prompt": Category(_("Hard prompts"), False),
    "hard_english": Category(_("Hard prompts, English"), False),
    "code": Category(_("Coding"), True),
    "math": Category(_("Mathematics"), False),
    "instruction_following": Category(_("Following instructions"), False),
    "creative_writing": Category(_("Creative writing"), False),
    "multi_turn": Category(_("Several turns"), True),
    "long_prompt": Category(_("Long prompts"), True),
    "short_prompt": Category(_("Short prompts"), True),
}
# ISO 639-1 code, as the detectors and the public data sets name them
LANGUAGES: dict[str, tuple[str, str | Promise]] = {
    "en": ("english", _("English")),
    "zh": ("chinese", _("Chinese")),
    "fr": ("french", _("French")),
    "de": ("german", _("German")),
    "es": ("spanish", _("Spanish")),
    "ru": ("russian", _("Russian")),
    "ja": ("japanese", _("Japanese")),
    "ko": ("korean", _("Korean")),
    "pt": ("portuguese", _("Portuguese")),
    "it": ("italian", _("Italian")),
    "pl": ("polish", _("Polish")),
    "nl": ("dutch", _("Dutch")),
    "cs": ("czech", _("Czech")),
    "uk": ("ukrainian", _("Ukrainian")),
    "tr": ("turkish", _("Turkish")),
    "ar": ("arabic", _("Arabic")),
    "fa": ("persian", _("Persian")),
    "he": ("hebrew", _("Hebrew")),
    "hi": ("hindi", _("Hindi")),
    "id": ("indonesian", _("Indonesian")),
    "vi": ("vietnamese", _("Vietnamese")),
    "sv": ("swedish", _("Swedish")),
    "da": ("danish", _("Danish")),
}
ALL: dict[str, Category] = OTHER | {name: Category(title, True) for name, title in LANGUAGES.values()}
TOPIC = re.compile(r"topic_([a-z0-9]+(?:_[a-z0-9]+)*)")  # any topic that an operator's labels name
ORDER: dict[str, int] = {name: place for place, name in enumerate([OVERALL, *ALL])}


def known(name: str) -> Category | None:
    """A category by its name: one of the registry's, or a topic ("topic_" and words joined by "_")."""
    topic = TOPIC.fullmatch(name) if len(name) <= LONGEST else None
    if topic:
        return Category(_("Topic: %(topic)s") % {"topic": topic[1].replace("_", " ")}, False)
    return ALL.get(name)


def of_language(said: str) -> str:
    """The category of an ISO 639-1 code ("en", "pt-BR") or an English name ("English"); "" when it has none."""
    said = said.strip().casefold()
    if said in ALL:
        return said if said not in OTHER else ""
    return LANGUAGES.get(said.partition("-")[0].partition("_")[0], ("", ""))[0]


def title(name: str) -> str | Promise:
    """What people read. Raises KeyError for a name that is not known."""
    if name == OVERALL:
        return _("Overall")
    if (found := known(name)) is None:
        raise KeyError(name)
    return found.title


def ordered(names: set[str]) -> list[str]:
    """Names in the order of the chooser; topics, and what another version knows, after the registry's, by name."""
    return sorted(names, key=lambda name: (ORDER.get(name, len(ORDER)), name))
