"""What a model says, held against the policy's rules for replies while it is being said, sentence by sentence.

A step is judged when its sentence ends (or after STEP_MOST characters), together with the OVERLAP words behind it, so that a rule
may span sentences. Each character is folded once and each word is searched in a bounded number of windows: linear in the text,
however it is cut into pieces.
"""

import re
from typing import NamedTuple

from arena.moderation import policy
from arena.moderation.detectors.folding import joined, loose_words
from arena.moderation.detectors.terms import MAX_PHRASE

STEP_LEAST = 40  # characters that are worth a look
STEP_MOST = 600  # without an end of a sentence
OVERLAP = policy.MAX_WITHIN + 2 * MAX_PHRASE  # words: a rule's reach, what waits, and what may excuse the first of them
SENTENCE_ENDS = ".!?\n。！？"
ENDS = re.compile(f"[{SENTENCE_ENDS}]")


class Match(NamedTuple):
    """The rule that a text matched."""

    rule: str
    category: str


class ReplyScan:
    """One attempt at one reply. Feed it what arrives; it tells the first match, once, and is then deaf."""

    def __init__(self, rules: policy.RuleSet | None = None) -> None:
        """Raises OSError or policy.PolicyError while the rule file is broken: nothing is then said to anybody."""
        self._rules = rules or policy.load().replies
        self._pending: list[str] = []
        self._held = 0
        self._behind: list[str] = []
        self.match: Match | None = None

    def feed(self, text: str) -> Match | None:
        """The next piece, of any length. The match that it completes, if it does."""
        if self.match is not None:
            return None
        self._pending.append(text)
        self._held += len(text)
        if self._held < STEP_LEAST:
            return None
        return self._look() if self._held >= STEP_MOST or ENDS.search(text) else None

    def finish(self) -> Match | None:
        """There is no more text: judge what is left."""
        if self.match is None:
            text, self._pending, self._held = "".join(self._pending), [], 0
            return self._judge(text, settled=True)
        return None

    def _look(self) -> Match | None:
        text, start = "".join(self._pending), 0
        while self.match is None and (end := _step_end(text, start)) > start:
            self._judge(text[start:end], settled=text[end - 1] in SENTENCE_ENDS)
            start = end
        self._pending, self._held = [text[start:]], len(text) - start
        return self.match

    def _judge(self, text: str, settled: bool) -> Match | None:
        """Judge one step. When it ends inside a sentence, its last words wait for those that may excuse them."""
        loose = self._behind + loose_words(text)
        self._behind = loose[-OVERLAP:]
        words = joined(loose)
        if rule := self._rules.first_match(words, None if settled else max(0, len(words) - MAX_PHRASE)):
            self.match = Match(rule.id, rule.category)
        return self.match


def _step_end(text: str, start: int) -> int:
    """Where the step that begins at `start` ends; `start` itself when it must wait for more text."""
    last = min(len(text), start + STEP_MOST)
    sentence = max(text.rfind(char, start, last) for char in SENTENCE_ENDS) + 1
    if sentence > start or last - start < STEP_MOST:
        return max(sentence, start)
    space = text.rfind(" ", start, last)
    return space if space > start else last
