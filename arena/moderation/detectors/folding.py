"""Text as a matcher should see it: one spelling for every way of writing the same word.

Undone, in this order: right-to-left overrides (the hidden order is what a reader sees), accents and invisible characters,
compatibility forms (fullwidth, ligatures, mathematical letters), case, letters of other scripts that look Latin, and (for
prompts only) digits written for letters and words s p e l l e d out. For comparison, never for display. Linear time.
"""

import re
import unicodedata
from collections.abc import Sequence

OVERRIDE = re.compile("\u202e([^\u202c\u202d\u202e]*)[\u202c]?")
INVISIBLE = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
WORD = re.compile(r"[^\W_]+")

# Letters that look like Latin ones: Cyrillic, Greek, Armenian, and Latin letters without decomposition. Greek capitals look
# unlike their small letters, so they come first, before case is folded.
CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abezhikmnoptyx")
LOOKALIKES = str.maketrans(
    "авекмнорстухѕіјһԁԛԝүӏ" "αβγεηικνορτυχω" "օսհոց" "ıłøđħŧɡɑɩʀɴʟ",
    "abekmhopctyxsijhdqwyl" "abyenikvoptuxw" "ouhng" "ilodhtgairnl",
)  # fmt: skip
LEET = str.maketrans("013457@$|€", "oieastasie")
TOKEN = re.compile(r"[\w@$|€]+")
SPELLED = re.compile(r"(?<!\S)[^\W\d_](?: [^\W\d_]){2,}(?!\S)")
SHORT = 3  # letters after a number that make it a spelled word rather than a unit


def fold(text: str) -> str:
    """`text` in one spelling: decomposed, without marks and invisible characters, small letters, look-alikes made Latin."""
    text = _without_hidden(OVERRIDE.sub(lambda hidden: hidden[1][::-1], text))  # first: long runs of marks sort slowly
    text = _without_hidden(unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", text).translate(CAPITALS).casefold().translate(LOOKALIKES)


def words(text: str) -> list[str]:
    """The folded words of `text` in order; whatever is no letter or digit separates them."""
    return WORD.findall(fold(text))


def prompt_words(text: str) -> list[str]:
    """Like `words`, with letters restored that were written as digits or signs, and spelled-out words joined."""
    return joined(loose_words(text))


def loose_words(text: str) -> list[str]:
    """`prompt_words` before the last step: words that are s p e l l e d out are still single letters."""
    return [part for written in TOKEN.findall(fold(text)) for part in WORD.findall(unleet(written))]


def joined(loose: Sequence[str]) -> list[str]:
    """Loose words with runs of three or more single letters made one word."""
    return SPELLED.sub(lambda run: run[0].replace(" ", ""), " ".join(loose)).split()


def unleet(written: str) -> str:
    """A word that mixes letters with digits or signs, all read as letters. Numbers and short `4th`, `3d`, `10x` stay."""
    if written == "@":
        return "a"
    letters = sum(char.isalpha() for char in written)
    if letters in (0, len(written)) or (written[0] in "123456789" and letters < SHORT):
        return written
    return written.translate(LEET)


def _without_hidden(text: str) -> str:
    return text.translate({ord(char): None for char in set(text) if _is_hidden(char)})


def _is_hidden(char: str) -> bool:
    """Format characters, non-spacing marks and fillers: nothing a reader sees as a letter."""
    return unicodedata.category(char) in ("Cf", "Mn", "Me") or char in INVISIBLE
