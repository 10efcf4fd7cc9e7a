"""Optional test data: public prompts, answers and labelled texts. Folder: AGON_TEST_DATA; without it tests skip visibly."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("AGON_TEST_DATA") or Path(__file__).parents[3] / "../shared/data") / "conversations"


def rows(pattern: str) -> Iterator[dict[str, Any]]:
    """The lines of all files that match; skips the test when there is none."""
    paths = sorted(FOLDER.glob(pattern))
    if not paths:
        pytest.skip(f"no {pattern} under {FOLDER}: set AGON_TEST_DATA to a folder with public conversations")
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())


def prompts() -> Iterator[str]:
    """Every turn of the benchmark questions."""
    for row in rows("*question*.jsonl"):
        for turn in row.get("turns") or [row["prompt"]]:
            yield turn if isinstance(turn, str) else turn["content"]


def answers() -> Iterator[str]:
    """What models answered to Arena-Hard, and the reference answers of MT-Bench."""
    for row in rows("arena_hard_*_answer_*.jsonl.gz"):
        for message in row["messages"]:
            if message["role"] == "assistant":
                content = message["content"]
                yield content if isinstance(content, str) else content["answer"]
    for row in rows("mt_bench_reference*.jsonl"):
        yield from (turn for choice in row["choices"] for turn in choice["turns"])


def dialogue_replies() -> Iterator[str]:
    """The assistant's turns of red-team dialogues."""
    for row in rows("moderation/hh_rlhf_*.jsonl.gz"):
        for part in row["chosen"].split("\n\nAssistant:")[1:]:
            yield part.split("\n\nHuman:")[0]
