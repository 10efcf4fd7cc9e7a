"""The prompt gate: what may not reach a model, decided by rules in milliseconds, closed when anything goes wrong.

`clean_prompt` first makes a text storable and says no to what cannot be text; `check_prompt` then holds it against the policy.
The rule list is a floor, not a classifier: it stops the plainly forbidden and leaves the rest to moderation after the fact.
"""

import logging
import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from arena.errors import Refused
from arena.moderation import policy
from arena.moderation.detectors.folding import prompt_words

MAX_CHARS = 200_000  # longer texts are not checked, hence not allowed; PROMPT_MAX_CHARS is far below
UNAVAILABLE = "unavailable"
RETRY_WHEN_BROKEN_S = 60.0
UNREADABLE = re.compile("[\x00\ud800-\udfff]")
# Controls except tab and newline, bidirectional overrides, tag characters, noncharacters: nothing a person types, and each
# a way to show a reader one text and a model another.
DROPPED = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]")
NEWLINES = re.compile("\r\n?|[\u0085\u2028\u2029]")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says. When not allowed: category and rule for the record, `message` and `help_lines` for the person."""

    allowed: bool
    category: str = ""
    rule: str = ""
    policy: str = ""
    message: str = ""
    help_lines: tuple[str, ...] = ()


def clean_prompt(text: str) -> str:
    """`text` with newlines unified and unseen controls dropped; Refused 400 for what is no text. Idempotent."""
    if UNREADABLE.search(text):
        raise Refused(
            400,
            "unreadable",
            _("This text holds characters that cannot be stored. Please remove them and send it again."),
        )
    return DROPPED.sub("", NEWLINES.sub("\n", text))


def check_prompt(text: str) -> GateVerdict:
    """Hold a prompt against the current policy. Never raises: a broken gate is a closed one, and says that it is broken."""
    try:
        return _check(text)
    except Exception:  # any failure must close the gate; the log has the cause, the person the fact
        logger.exception("the prompt gate failed and stays closed")
        return _unavailable("error")


def _check(text: str) -> GateVerdict:
    if len(text) > MAX_CHARS:
        return _unavailable("too_long")
    current = policy.load()
    rule = current.prompts.first_match(prompt_words(text))
    if rule is None:
        return GateVerdict(allowed=True, policy=current.version)
    category = current.categories[rule.category]
    help_lines = tuple(_(line) for line in category.help_lines)
    return GateVerdict(False, rule.category, rule.id, current.version, _(category.words), help_lines)


def _unavailable(rule: str) -> GateVerdict:
    message = _("Prompts cannot be checked at this moment, so none is sent to a model. Please try again in a minute.")
    return GateVerdict(False, UNAVAILABLE, rule, UNAVAILABLE, message)
