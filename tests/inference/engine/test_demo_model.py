"""The demo model against what transformers said of the same GGUF (greedy_oracle.py recorded it)."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.scheduler.registry import make_scheduler
from tests.inference.engine.greedy_oracle import EXPECTED, prompts
from tests.inference.engine.tiny import check_idle, generate, sequence

pytestmark = pytest.mark.demo_model


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    rows = json.loads(EXPECTED.read_text(encoding="utf-8"))
    assert [row["prompt"] for row in rows] == prompts(), "the prompts changed: run greedy_oracle again"
    return rows


@pytest.fixture(scope="module")
def core(demo_model: Path) -> EngineCore:
    return EngineCore(EngineConfig(demo_model, threads=1), make_scheduler(max_waiting_per_client=100))


def test_the_tokenizer_splits_like_the_original(demo_model, expected):
    tokenizer = Tokenizer.from_file(str(demo_model / "tokenizer.json"))
    for row in expected:
        assert tokenizer.encode(row["prompt"]).ids == row["prompt_ids"]
        assert tokenizer.decode(row["prompt_ids"], skip_special_tokens=False) == row["prompt"]


def test_greedy_output_equals_transformers(core, expected):
    """All 20 prompts in one batch, in float32: token for token."""
    seqs = [sequence(str(i), row["prompt_ids"], max_tokens=len(row["output_ids"])) for i, row in enumerate(expected)]
    found = generate(core, *seqs)
    assert [found[str(i)] for i in range(len(expected))] == [row["output_ids"] for row in expected]
    check_idle(core)


def test_alone_says_the_same_as_in_a_batch(core, expected):
    for row in expected[::5]:
        assert generate(core, sequence("x", row["prompt_ids"], max_tokens=12))["x"] == row["output_ids"][:12]
