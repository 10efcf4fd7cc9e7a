"""One admitted conversation as one row in the schema of LMSYS-Chat-1M. Plain Python: pages and tests need no pyarrow."""

import json
import math
from collections import Counter
from typing import Any

from arena.models.conversations import Role
from arena.models.moderation import Standing
from datasets.gate import Leaving, Said
from datasets.public_ids import public_id

CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening"),
    *("self-harm", "self-harm/instructions", "self-harm/intent"),
    *("sexual", "sexual/minors", "violence", "violence/graphic"),
)
COLUMNS = ("conversation_id", "model", "conversation", "turn", "language", "openai_moderation", "redacted")
UNKNOWN = "unknown"
# Legal in JSON, yet line ends to tools that split lines by Unicode's rules: a record must stay one line for them, too.
LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}


def row(leaving: Leaving) -> dict[str, Any]:
    """The row of one conversation, columns in the order of COLUMNS."""
    return {
        "conversation_id": public_id(leaving.conversation_id),
        "model": leaving.model,
        "conversation": [{"content": said.text, "role": said.role} for said in leaving.messages],
        "turn": len(leaving.messages) // 2,
        "language": language(leaving),
        "openai_moderation": [moderation(said) for said in leaving.messages],
        "redacted": False,
    }


def language(leaving: Leaving) -> str:
    """The language of most prompts, by its English name; of the earliest one when several are as frequent."""
    spoken = Counter(said.language for said in leaving.messages if said.role == Role.USER)
    return spoken.most_common(1)[0][0] if spoken else UNKNOWN


def moderation(said: Said) -> dict[str, Any]:
    """What the newest backend said of a message; all false and 0.0 where a moderator alone has passed it."""
    named = set(said.look.categories) if said.look else set()
    scores = said.look.scores if said.look else {}
    return {
        "categories": {name: name in named for name in CATEGORIES},
        "category_scores": {name: _score(scores.get(name)) for name in CATEGORIES},
        "flagged": said.look is not None and said.look.standing == Standing.FLAGGED,
    }


def _score(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def line(row: dict[str, Any]) -> bytes:
    """A row as one line of JSON, without its newline. Columns and categories keep their order."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(LINE_ENDS).encode()
