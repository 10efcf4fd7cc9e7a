"""The converted base model, opened for training: plain named weights beside the engine's tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from inference.demo.paths import base_path
from inference.demo.roster import NEUTRAL_SYSTEM_PROMPT
from inference.engine.tensorfile import TensorFile
from inference.engine.text import ChatMessage, ChatText
from inference.engine.weights import ModelConfig, read_config


@dataclass(frozen=True)
class Base:
    """`weights` maps Hugging Face names, without the leading "model.", to float32 matrices (out, in)."""

    weights: dict[str, Tensor]
    config: ModelConfig
    text: ChatText

    def prompt_ids(self, prompt: str) -> list[int]:
        """Token ids of a conversation's start, exactly as a battle of the demo roster sends it."""
        return self.text.prompt_ids([ChatMessage("system", NEUTRAL_SYSTEM_PROMPT), ChatMessage("user", prompt)])

    def reply_ids(self, reply: str) -> list[int]:
        """Token ids of a reply and the token that ends it."""
        return [*self.text.tokenizer.encode(reply, add_special_tokens=False).ids, self.text.stop_token_ids[-1]]


def load_base(path: Path | None = None) -> Base:
    """Map the base model; FileNotFoundError says how to install it."""
    path = path or base_path()
    if not (path / "model.safetensors").is_file():
        raise FileNotFoundError(f"{path} holds no model; run: python -m inference.demo.install")
    file = TensorFile(path / "model.safetensors")
    weights = {name.removeprefix("model."): file.get(name) for name in file.entries}
    return Base(weights, read_config(path), ChatText(path))
