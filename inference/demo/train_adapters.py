"""Train the demo roster's LoRA adapters: `python -m inference.demo.train_adapters [MANNER ...] [--check]`.

Plain torch on the CPU, base model frozen, loss on the reply's tokens only. Seeds are fixed, so a second run gives the
same losses within rounding; `--check` trains the first few steps again and compares them with the committed log.
Needs the converted base model (`python -m inference.demo.install`).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from inference.demo.base import Base, load_base
from inference.demo.llama import Lora, hidden_states
from inference.demo.paths import MANNERS_DIR, TRAINING_LOG
from inference.demo.roster import ADAPTERS_DIR, BASE_MODEL, MANNERS

CHECK_TOLERANCE = 0.02  # relative; threads and instruction sets change the order of sums


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one training run; written to the log with its losses."""

    targets: tuple[str, ...] = ("q_proj", "v_proj", "o_proj")
    rank: int = 7  # with three targets: 1.3 MB in float16
    alpha: int = 14
    steps: int = 70
    batch: int = 8
    learning_rate: float = 1e-3
    warmup: int = 5
    max_tokens: int = 128
    seed: int = 20261123


Example = tuple[list[int], int]  # token ids, and how many of them are prompt


def examples(manner: str, base: Base, recipe: Recipe) -> list[Example]:
    """The manner's text as ChatML token ids; ValueError when a pair is longer than `max_tokens`."""
    found = []
    for line in (MANNERS_DIR / f"{manner}.jsonl").read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        prompt = base.prompt_ids(pair["prompt"])
        ids = prompt + base.reply_ids(pair["reply"])
        if len(ids) > recipe.max_tokens:
            raise ValueError(f"{manner}: {pair['prompt']!r} has {len(ids)} tokens, more than {recipe.max_tokens}")
        found.append((ids, len(prompt)))
    return found


def batches(pairs: list[Example], recipe: Recipe) -> Iterator[list[Example]]:
    """Endless batches: the pairs in a new seeded order each epoch, none left out."""
    rng = random.Random(recipe.seed)
    queue: list[Example] = []
    while True:
        while len(queue) < recipe.batch:
            queue += rng.sample(pairs, len(pairs))
        yield queue[: recipe.batch]
        del queue[: recipe.batch]


def reply_loss(batch: list[Example], base: Base, lora: Lora) -> Tensor:
    """Mean cross-entropy in nats over the reply tokens of the batch."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
    wanted = torch.zeros(ids.shape, dtype=torch.bool)
    for row, (tokens, prompt_len) in enumerate(batch):
        wanted[row, prompt_len : len(tokens)] = True
    states = hidden_states(ids, base.weights, base.config, lora)[:, :-1][wanted[:, 1:]]
    return F.cross_entropy(F.linear(states, base.weights["embed_tokens.weight"]), ids[wanted])


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a half cosine down to a tenth."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))


def train(pairs: list[Example], base: Base, recipe: Recipe, steps: int, name: str) -> tuple[Lora, list[float]]:
    """Train for `steps` steps of the recipe's schedule; returns the adapter and the loss of each step."""
    lora = Lora(base.weights, recipe.targets, recipe.rank, recipe.alpha, recipe.seed)
    optimiser = torch.optim.AdamW(lora.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    source = batches(pairs, recipe)
    losses: list[float] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, recipe)
        loss = reply_loss(next(source), base, lora)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lora.parameters(), 1.0)
        optimiser.step()
        losses.append(round(loss.item(), 4))
        if step % 10 == 0 or step == steps - 1:
            print(f"{name} step {step + 1}/{steps} loss {loss.item():.3f}", flush=True)
    return lora, losses


def save(folder: Path, lora: Lora, recipe: Recipe) -> None:
    """Write the adapter in PEFT format."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = folder / "adapter_model.safetensors"
    save_file(lora.peft_tensors(), tensors)
    tensors.chmod(0o644)  # the library keeps it to its owner; the engine may run as somebody else
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE_MODEL,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "target_modules": list(recipe.targets),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def check(manner: str, base: Base, steps: int) -> bool:
    """Train the first steps again; False (and a line on stderr) when a loss is not the committed one."""
    entry = json.loads(TRAINING_LOG.read_text(encoding="utf-8"))[manner]
    recipe = Recipe(**{**entry["recipe"], "targets": tuple(entry["recipe"]["targets"])})
    _, losses = train(examples(manner, base, recipe), base, recipe, steps, manner)
    for step, (new, old) in enumerate(zip(losses, entry["losses"][:steps], strict=True)):
        if abs(new - old) > CHECK_TOLERANCE * old:
            print(f"{manner}: step {step + 1} has loss {new}, the log says {old}", file=sys.stderr)
            return False
    return True


def record(manner: str, recipe: Recipe, losses: list[float], seconds: float) -> None:
    """Put the run into the committed log, beside those of the other manners."""
    log = json.loads(TRAINING_LOG.read_text(encoding="utf-8")) if TRAINING_LOG.exists() else {}
    log[manner] = {"recipe": asdict(recipe), "torch": torch.__version__, "seconds": round(seconds), "losses": losses}
    TRAINING_LOG.write_text(json.dumps(log, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m inference.demo.train_adapters", description=__doc__)
    parser.add_argument("manners", nargs="*", help="default: all")
    parser.add_argument("--check", action="store_true", help="re-train a few steps and compare with the log")
    parser.add_argument("--check-steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    base, recipe = load_base(), Recipe()
    for manner in options.manners or MANNERS:
        if options.check:
            if not check(manner, base, options.check_steps):
                return 1
            continue
        started = time.monotonic()
        lora, losses = train(examples(manner, base, recipe), base, recipe, recipe.steps, manner)
        save(ADAPTERS_DIR / manner, lora, recipe)
        record(manner, recipe, losses, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
