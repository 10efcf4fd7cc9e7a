"""What the demo models were asked and what they answered, as recorded once: two JSON Lines files beside the roster."""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.demo import roster

FOLDER = Path(roster.__file__).parent


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True)
class Recordings:
    """`prompts` by id; `answers` by (prompt id, contestant's slug)."""

    prompts: dict[str, str]
    answers: dict[tuple[str, str], Answer]

    def answered_by_all(self, slugs: set[str]) -> list[str]:
        """Ids of the prompts that every one of `slugs` has answered, in the file's order."""
        return [prompt for prompt in self.prompts if all((prompt, slug) in self.answers for slug in slugs)]


def load(folder: Path = FOLDER) -> Recordings:
    """What this edition has recorded; nothing where it comes without the files."""
    prompts = {line["id"]: line["text"] for line in _lines(folder / "prompts.jsonl")}
    answers = {
        (line["prompt"], line["slug"]): Answer(
            line["text"], line["finish_reason"], line.get("tokens_in"), line.get("tokens_out")
        )
        for line in _lines(folder / "replies.jsonl")
    }
    return Recordings(prompts, answers)


def _lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
