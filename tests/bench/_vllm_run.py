"""Serves the calls of a job file with vLLM inside this process; run by vLLM's own interpreter, imports nothing of ours.

    .venv-vllm/bin/python -P tests/bench/_vllm_run.py JOB.json

A job: model, streams (running at once), max_len, lora ({rank, slots, cached} or null) and calls: [{id, parts (each token ids,
or the id of the call whose reply stands there), output (tokens), after (ids that end before it is asked), salt, lora (a PEFT
directory or null)}]. All calls whose `after` is empty wait at once. The last line is JSON: CPU and wall seconds from the first
request to the last token, output tokens, prompt tokens found in the prefix cache.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process, whose CPU time is measured


def make_engine(job: dict[str, Any]) -> Any:
    """vLLM's engine as the job wants it: bfloat16, eager, prefix cache on."""
    from vllm import EngineArgs, LLMEngine

    lora = job.get("lora") or {}
    args = EngineArgs(
        model=job["model"],
        dtype="bfloat16",
        enforce_eager=True,
        distributed_executor_backend="uni",
        max_model_len=job["max_len"],
        max_num_seqs=job["streams"],
        enable_prefix_caching=True,
        skip_tokenizer_init=True,
        disable_log_stats=True,
        enable_lora=bool(lora),
        **(
            {"max_lora_rank": lora["rank"], "max_loras": lora["slots"], "max_cpu_loras": lora["cached"]} if lora else {}
        ),
    )
    return LLMEngine.from_engine_args(args)


class Run:
    """One engine and the calls it serves."""

    def __init__(self, engine: Any, calls: list[dict[str, Any]]) -> None:
        self.engine, self.calls = engine, calls
        self.replies: dict[str, list[int]] = {}
        self.cached = 0
        self._adapters: dict[str, int] = {}

    def add(self, call: dict[str, Any]) -> None:
        """Ask one call; its prompt holds the replies of earlier ones."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        parts = [self.replies[part] if isinstance(part, str) else part for part in call["parts"]]
        prompt: dict[str, Any] = {"prompt_token_ids": [token for part in parts for token in part]}
        if call.get("salt"):
            prompt["cache_salt"] = call["salt"]
        n = call["output"]
        params = SamplingParams(temperature=0.0, max_tokens=n, min_tokens=n, ignore_eos=True, detokenize=False)
        path = call.get("lora")
        lora = path and LoRARequest(path, self._adapters.setdefault(path, len(self._adapters) + 1), path)
        self.engine.add_request(call["id"], prompt, params, lora_request=lora or None)

    def serve(self) -> None:
        """All calls, each when those it waits for have ended."""
        missing = {call["id"]: set(call.get("after") or ()) for call in self.calls}
        for call in self.calls:
            if not missing[call["id"]]:
                self.add(call)
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                if output.finished:
                    self.replies[output.request_id] = list(output.outputs[0].token_ids)
                    self.cached += output.num_cached_tokens or 0
                    self._release(output.request_id, missing)

    def _release(self, ended: str, missing: dict[str, set[str]]) -> None:
        for call in self.calls:
            if ended in missing[call["id"]]:
                missing[call["id"]].discard(ended)
                if not missing[call["id"]]:
                    self.add(call)


def main(path: str) -> None:
    """Serve the job and print its figures."""
    with open(path) as file:
        job = json.load(file)
    engine = make_engine(job)
    Run(engine, [{"id": "warm", "parts": [[5] * 32], "output": 4}]).serve()
    run = Run(engine, job["calls"])
    cpu, wall = time.process_time(), time.perf_counter()
    run.serve()
    result = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "cached": run.cached}
    result["tokens"] = sum(map(len, run.replies.values()))
    wanted = sum(call["output"] for call in job["calls"])
    if result["tokens"] != wanted:
        raise RuntimeError(f"{result['tokens']} tokens instead of {wanted}")
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
