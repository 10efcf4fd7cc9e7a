"""Where the demo roster's files lie. Standard library only: the installer must not load torch to say "already there"."""

from __future__ import annotations

import os
from pathlib import Path

from inference.demo.roster import BASE_MODEL

HERE = Path(__file__).parent
MANNERS_DIR = HERE / "manners"
TRAINING_LOG = HERE / "training_log.json"
PROMPTS = HERE / "prompts.jsonl"
REPLIES = HERE / "replies.jsonl"


def var_dir() -> Path:
    """All state of this installation: `AGON_VAR`, or var/ in the repository."""
    return Path(os.environ.get("AGON_VAR") or HERE.parents[1] / "var").absolute()


def models_dir() -> Path:
    """Folder of the model directories: `AGON_MODELS_DIR`, or models/ in `var_dir`."""
    return Path(os.environ.get("AGON_MODELS_DIR") or var_dir() / "models").absolute()


def base_path() -> Path:
    """Where the converted base model lies once it is installed."""
    return models_dir() / BASE_MODEL
