"""The policy: a versioned rule list in policy.toml, read strictly. docs/moderation.md explains how to write rules."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from arena.moderation.detectors.folding import fold, unleet
from arena.moderation.detectors.terms import Span, TermSet, near

POLICY_FILE = Path(__file__).with_name("policy.toml")
RULE_KEYS = {"id", "category", "blocks", "phrases", "near", "within", "unless"}
PROMPT, REPLY = "prompt", "reply"  # what a rule may block: a prompt before it is sent, a reply while it is written
MAX_WITHIN = 32  # words; what a reply's scan keeps of the text behind it


class PolicyError(ValueError):
    """The rule file cannot be used; the message names the rule and the field."""


@dataclass(frozen=True)
class Category:
    """What a person is told when a rule of this category blocks, and where help is."""

    words: str
    help_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Matches when one of `phrases` occurs, or when one term of each group of `near` occurs within `within` words.

    Words that are part of a term of `unless` do not count. `blocks` says what a match stops; it flags any text.
    """

    id: str
    category: str
    blocks: frozenset[str]
    phrases: tuple[str, ...]
    near: tuple[tuple[str, ...], ...]
    within: int
    unless: tuple[str, ...]

    def matches(self, phrases: list[Span], groups: list[list[Span]], unless: list[Span]) -> bool:
        """Whether the rule matches, given where its terms were found. Linear in the number of finds."""
        excused = {at for span in unless for at in range(span.start, span.end)}
        if any(excused.isdisjoint(range(span.start, span.end)) for span in phrases):
            return True
        if not groups or not all(groups):
            return False
        counted = [
            span._replace(group=number)
            for number, group in enumerate(groups)
            for span in group
            if excused.isdisjoint(range(span.start, span.end))
        ]
        return near(sorted(counted), len(groups), self.within)


class RuleSet:
    """Rules compiled into one set of terms, so that a text is read once for all of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        lists = [terms for rule in rules for terms in (rule.phrases, rule.unless, *rule.near)]
        self._terms = TermSet(lists, spell=lambda word: unleet(fold(word)))

    def matches(self, words: Sequence[str], settled: int | None = None) -> Iterator[Rule]:
        """The rules that these words (of `prompt_words`) match, in the order of the file.

        Words from `settled` on only excuse: what might excuse them in turn has not been read yet.
        """
        found: dict[int, list[Span]] = defaultdict(list)
        for span in self._terms.find(words):
            found[span.group].append(span)
        slot = 0
        for rule in self.rules:
            slots = range(slot, slot := slot + 2 + len(rule.near))
            counted = [[span for span in found[at] if settled is None or span.end <= settled] for at in slots]
            if rule.matches(counted[0], counted[2:], found[slots[1]]):
                yield rule

    def first_match(self, words: Sequence[str], settled: int | None = None) -> Rule | None:
        return next(self.matches(words, settled), None)


class Policy:
    """The rules of a version: all of them, those that block a prompt, and those that cut a reply."""

    def __init__(self, version: str, categories: dict[str, Category], rules: Sequence[Rule]) -> None:
        self.version, self.categories, self.rules = version, categories, tuple(rules)
        self.all = RuleSet(rules)
        self.prompts = RuleSet([rule for rule in rules if PROMPT in rule.blocks])
        self.replies = RuleSet([rule for rule in rules if REPLY in rule.blocks])


@lru_cache(maxsize=4)
def load(path: Path = POLICY_FILE) -> Policy:
    """The policy in `path`. Raises OSError or PolicyError; a failure is not remembered, so a repaired file is read."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        categories = {
            name: Category(entry["words"], tuple(entry.get("help_lines", ())))
            for name, entry in data["categories"].items()
        }
        lists: dict[str, list[str]] = data.get("lists", {})
        rules = tuple(_rule(entry, categories, lists) for entry in data["rules"])
        version = str(data["version"])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise PolicyError(f"{path.name}: {type(error).__name__}: {error}") from error
    if not rules or not version or len(version) > 20 or len({rule.id for rule in rules}) != len(rules):
        raise PolicyError(f"{path.name}: needs a version of at most 20 characters and rules with distinct ids")
    try:
        return Policy(version, categories, rules)
    except ValueError as error:
        raise PolicyError(f"{path.name}: {error}") from error


def _rule(entry: dict[str, Any], categories: dict[str, Category], lists: dict[str, list[str]]) -> Rule:
    name = entry.get("id", "a rule without id")
    if unknown := set(entry) - RULE_KEYS:
        raise PolicyError(f"{name}: unknown field {sorted(unknown)}")
    if entry["category"] not in categories:
        raise PolicyError(f"{name}: unknown category {entry['category']!r}")
    phrases = _expand(entry.get("phrases", []), lists)
    groups = tuple(_expand(group, lists) for group in entry.get("near", []))
    if not phrases and not groups:
        raise PolicyError(f"{name}: needs phrases or near")
    blocks, within = frozenset(entry.get("blocks", [PROMPT])), int(entry.get("within", 8))
    if not blocks <= {PROMPT, REPLY} or not 1 <= within <= MAX_WITHIN:
        raise PolicyError(f"{name}: blocks prompt, reply or both, within 1 to {MAX_WITHIN} words")
    unless = _expand(entry.get("unless", []), lists)
    return Rule(name, entry["category"], blocks, phrases, groups, within, unless)


def _expand(terms: Sequence[str], lists: dict[str, list[str]]) -> tuple[str, ...]:
    """Terms with every `@name` replaced by the list of that name."""
    return tuple(term for entry in terms for term in (lists[entry[1:]] if entry.startswith("@") else [entry]))
