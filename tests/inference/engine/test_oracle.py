"""Against transformers itself, where the oracle environment has it (dependency group `oracle`)."""

import json
import math
from pathlib import Path

import pytest
import torch

from tests.inference.engine.greedy_oracle import EXPECTED, prompts
from tests.inference.engine.tiny import CONFIG, generate, make_core, make_model, sequence

transformers = pytest.importorskip("transformers", reason="transformers is not installed (dependency group oracle)")
pytestmark = pytest.mark.oracle

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def theirs(path: Path, prompt: list[int], new: int) -> list[int]:
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    ids = torch.tensor([prompt])
    options = {"max_new_tokens": new, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 4, "rms_norm_eps": 1e-2},
        {"num_key_value_heads": 1, "rope_theta": 500.0},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_scaling": LLAMA3},
        {"rope_parameters": {"rope_theta": 500.0, **LLAMA3}},
    ],
    ids=["plain", "tied", "mha", "mqa", "linear", "llama3", "rope_parameters"],
)
def test_every_supported_shape_equals_transformers(tmp_path, changes):
    config = {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "mlp_bias": False}
    path = make_model(tmp_path / "m", seed=4, **config, **changes)
    kv = {"num_key_value_heads": (CONFIG | changes)["num_key_value_heads"]}
    for prompt in ([5, 6, 7], list(range(10, 130))):
        core = make_core(path, pages=400, pool_bytes=4_000_000)
        assert core.model_config.kv_heads == kv["num_key_value_heads"]
        assert generate(core, sequence("x", prompt, max_tokens=24))["x"] == theirs(path, prompt, 24)


def test_the_converted_directory_is_a_hugging_face_model(demo_model):
    """transformers reads what the converter wrote, tokenizer included, and says what it says of the GGUF."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(demo_model)
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    assert [tokenizer(text, add_special_tokens=False)["input_ids"] for text in prompts()] == [
        row["prompt_ids"] for row in expected
    ]
    chat = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Hi"}]
    assert "<|im_start|>user\nHi<|im_end|>" in tokenizer.apply_chat_template(chat, tokenize=False)
    row = expected[0]
    assert theirs(demo_model, row["prompt_ids"], 8) == row["output_ids"][:8]
    assert math.isclose(transformers.AutoConfig.from_pretrained(demo_model).rms_norm_eps, 1e-5)
