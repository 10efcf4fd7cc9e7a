"""Training of the demo adapters: the dense forward is the engine's, and the committed losses come again."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from inference.demo import train_adapters
from inference.demo.base import Base, load_base
from inference.demo.llama import Lora, hidden_states
from inference.demo.paths import TRAINING_LOG
from inference.demo.roster import ADAPTERS_DIR, MANNERS
from inference.demo.train_adapters import Recipe
from inference.engine.tensorfile import TensorFile
from inference.engine.weights import ModelConfig, read_config
from tests.inference.engine.tiny import generate, make_core, make_model, sequence

RECIPE = replace(Recipe(), rank=4, alpha=8, steps=30, batch=4, learning_rate=2e-2)
PAIRS = [([7, 8, 9, 10 + i, 40 + i, 90, 41 + i, 2], 4) for i in range(6)]


@dataclass
class TinyBase:
    """A random two-layer model with the fields of `Base` that training needs."""

    path: Path
    config: ModelConfig = field(init=False)
    weights: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.config = read_config(self.path)
        file = TensorFile(self.path / "model.safetensors")
        self.weights = {name.removeprefix("model."): file.get(name) for name in file.entries}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> TinyBase:
    return TinyBase(make_model(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True))


def greedy(base: TinyBase, lora: Lora, prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        states = hidden_states(torch.tensor([ids]), base.weights, base.config, lora)
        ids.append(int(F.linear(states[0, -1], base.weights["embed_tokens.weight"]).argmax()))
    return ids[len(prompt) :]


def test_trained_adapter_says_the_same_in_the_engine(tiny, tmp_path):
    lora, _ = train_adapters.train(PAIRS, tiny, RECIPE, 30, "tiny")
    train_adapters.save(tmp_path / "trained", lora, RECIPE)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.copy_(parameter.half())  # as it was saved
    core = make_core(tiny.path)
    core.load_adapter("trained", tmp_path / "trained")
    prompts = {str(i): ids[:4] for i, (ids, _) in enumerate(PAIRS)}
    found = generate(core, *(sequence(name, ids, "trained", max_tokens=6) for name, ids in prompts.items()))
    plain = generate(core, *(sequence(name, ids, max_tokens=6) for name, ids in prompts.items()))
    for name, ids in prompts.items():
        assert found[name] == greedy(tiny, lora, ids, 6)
    assert found != plain


def test_training_learns_and_repeats_itself(tiny):
    _, first = train_adapters.train(PAIRS, tiny, RECIPE, 30, "tiny")
    _, second = train_adapters.train(PAIRS, tiny, RECIPE, 30, "tiny")
    assert first == pytest.approx(second, rel=1e-3)
    assert sum(first[-5:]) < 0.5 * sum(first[:5])


def test_untrained_adapter_changes_nothing(tiny):
    lora = Lora(tiny.weights, RECIPE.targets, 4, 8, seed=1)
    nothing = Lora(tiny.weights, (), 4, 8, seed=1)
    ids = torch.tensor([[5, 6, 7, 8]])
    states = [hidden_states(ids, tiny.weights, tiny.config, each) for each in (lora, nothing)]
    assert torch.equal(*states)


def test_loss_counts_reply_tokens_only_and_ignores_padding(tiny):
    lora = Lora(tiny.weights, RECIPE.targets, 4, 8, seed=1)
    short, long = ([7, 8, 9, 10, 11], 3), ([7, 8, 9, 20, 21, 22, 23, 24], 4)
    alone = [train_adapters.reply_loss([pair], tiny, lora).item() for pair in (short, long)]
    together = train_adapters.reply_loss([short, long], tiny, lora).item()
    assert together == pytest.approx((2 * alone[0] + 4 * alone[1]) / 6, rel=1e-5)


def test_every_epoch_shows_every_pair():
    recipe = replace(RECIPE, batch=4)
    source = train_adapters.batches(PAIRS, recipe)
    shown = [pair for _ in range(3) for pair in next(source)]
    assert sorted(shown[:6]) == sorted(PAIRS) and sorted(shown[6:]) == sorted(PAIRS)


def test_check_reports_the_step_that_differs(monkeypatch, tmp_path, capsys):
    log = json.loads(TRAINING_LOG.read_text(encoding="utf-8"))
    losses = log["pirate"]["losses"]
    monkeypatch.setattr(train_adapters, "examples", lambda *_: [])
    monkeypatch.setattr(train_adapters, "train", lambda *_: (None, [losses[0], losses[1] * 1.5]))
    assert not train_adapters.check("pirate", None, 2)
    assert "pirate: step 2" in capsys.readouterr().err
    monkeypatch.setattr(train_adapters, "train", lambda *_: (None, [losses[0], losses[1] * 1.01]))
    assert train_adapters.check("pirate", None, 2)


@pytest.mark.parametrize("manner", MANNERS)
def test_committed_adapter_is_the_logged_one(manner):
    """PEFT format, at most 1.5 MB, with the shape that its log says; the loss fell."""
    folder = ADAPTERS_DIR / manner
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_500_000
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    entry = json.loads(TRAINING_LOG.read_text(encoding="utf-8"))[manner]
    recipe = entry["recipe"]
    assert (config["r"], config["lora_alpha"]) == (recipe["rank"], recipe["alpha"])
    assert config["target_modules"] == recipe["targets"]
    names = set(TensorFile(folder / "adapter_model.safetensors").entries)
    assert len(names) == 30 * len(recipe["targets"]) * 2
    losses = entry["losses"]
    assert len(losses) == recipe["steps"]
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


@pytest.mark.demo_model
@pytest.mark.slow
@pytest.mark.parametrize("manner", MANNERS)
def test_retraining_gives_the_committed_losses(demo_model, manner):
    base: Base = load_base(demo_model)
    assert train_adapters.check(manner, base, steps=2)
