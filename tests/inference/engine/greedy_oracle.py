"""Records what transformers says to 20 prompts, straight from the GGUF: `python -m tests.inference.engine.greedy_oracle GGUF`.

Writes expected_greedy.json: token ids of each prompt by transformers' own tokenizer, and the greedy continuation in
float32. Needs transformers, gguf and accelerate (dependency group `oracle`); our converter and engine have no part in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

EXPECTED = Path(__file__).with_name("expected_greedy.json")
NEW_TOKENS = 32

QUESTIONS = [
    "What is the capital of France?",
    "Name three colours of the rainbow.",
    "Write a haiku about a lighthouse in winter.",
    "Explain in two sentences why the sky is blue.",
    "What is 17 + 25? Show your steps.",
    "Translate 'good morning' into Spanish, French and German.",
    "List the months that have 31 days.",
    "Who wrote 'Pride and Prejudice', and when was it published?",
    "Give me a recipe for pancakes with 4 ingredients.",
    "Write a Python function that reverses a string.",
    "How do bees make honey?",
    "Tell me a short story about a fox who could not sleep.",
]
TEXTS = [
    "Once upon a time, in a village by the sea,",
    "The three laws of thermodynamics are",
    "def fibonacci(n):\n    ",
    "In 1969, on July 20th at 20:17 UTC,",
    "Ünïcode wörds, 東京, Москва und 🦊 emoji:",
    "1, 1, 2, 3, 5, 8, 13,",
    "    \n\n\tIndented   text with   odd spaces",
    " ".join(f"Item {i}: the quick brown fox jumps over the lazy dog number {i * i}." for i in range(40)),
]
SYSTEM = "You are a helpful assistant."


def prompts() -> list[str]:
    """The 20 prompts as text, chat turns first."""
    chat = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    return [chat.format(SYSTEM, question) for question in QUESTIONS] + TEXTS


def record(gguf: Path) -> list[dict[str, object]]:
    """Prompt, its token ids and transformers' greedy continuation, for each prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    packed = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(**where, quantization_config=packed, dtype=torch.float32).eval()
    found = []
    for text in prompts():
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**ids, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=2)
        prompt = ids["input_ids"][0].tolist()
        found.append({"prompt": text, "prompt_ids": prompt, "output_ids": out[0, len(prompt) :].tolist()})
    return found


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(row) for row in record(Path(sys.argv[1])))
    EXPECTED.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
