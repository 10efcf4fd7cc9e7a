"""Serves the calls of a job file with PEFT and transformers; run by their own interpreter, imports nothing of ours.

    .venv-peft/bin/python -P tests/bench/_peft_run.py JOB.json

The job is that of _vllm_run.py. Batches of `streams` calls in order, each batch with its own adapter per row
(`adapter_names`, PEFT's mixed batches), padded on the left, float32, greedy, until the longest reply of the batch is whole: PEFT
has no other batching. Adapters are loaded before the clock starts. The last line is JSON: CPU and wall seconds, and the output
tokens that were asked for (what the shorter rows say meanwhile does not count).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def load(job: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """(the model with every adapter of the job, PEFT directory -> adapter name)."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    paths = sorted({call["lora"] for call in job["calls"]})
    names = {path: f"a{i}" for i, path in enumerate(paths)}
    model = PeftModel.from_pretrained(base, paths[0], adapter_name=names[paths[0]])
    for path in paths[1:]:
        model.load_adapter(path, adapter_name=names[path])
    return model.eval(), names


def generate(model: Any, names: dict[str, str], calls: list[dict[str, Any]]) -> None:
    """One batch."""
    import torch

    prompts = [[token for part in call["parts"] for token in part] for call in calls]
    width, output = max(map(len, prompts)), max(call["output"] for call in calls)
    ids = torch.tensor([[2] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    adapters = [names[call["lora"]] for call in calls]
    with torch.inference_mode():
        said = model.generate(
            input_ids=ids, attention_mask=mask, adapter_names=adapters, do_sample=False, pad_token_id=2,
            max_new_tokens=output, min_new_tokens=output,
        )  # fmt: skip
    if said.shape[1] != width + output:
        raise RuntimeError(f"{said.shape[1] - width} tokens instead of {output}")


def main(path: str) -> None:
    """Serve the job and print its figures."""
    with open(path) as file:
        job = json.load(file)
    model, names = load(job)
    calls, size = job["calls"], job["streams"]
    generate(model, names, [{"parts": [[5] * 8], "output": 2, "lora": calls[0]["lora"]}])
    cpu, wall = time.process_time(), time.perf_counter()
    for begin in range(0, len(calls), size):
        generate(model, names, calls[begin : begin + size])
    result = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    print(json.dumps(result | {"tokens": sum(call["output"] for call in calls)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
