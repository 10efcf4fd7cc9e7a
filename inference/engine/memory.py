"""What an engine may use: device and dtype, the size of its page pool, the context that this leaves.

Tests: tests/inference/engine/test_core.py (settings that no engine can run with).
"""

from __future__ import annotations

import torch

from inference.engine.config import ConfigError, EngineConfig
from inference.engine.pages import Layout, PagePool
from inference.engine.weights import ModelConfig


def prepare(config: EngineConfig) -> tuple[torch.device, torch.dtype]:
    """The device and the dtype of computations; torch's threads are set. ConfigError for a device that is not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda' but torch sees no CUDA device; use --device cpu")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    return torch.device(config.device), {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.dtype]


def pool_of(shape: ModelConfig, config: EngineConfig, dtype: torch.dtype, device: torch.device) -> PagePool:
    """The arena for this model. ConfigError when it holds no two pages."""
    layout = Layout(shape.layers, shape.kv_heads, shape.head_dim, config.page_tokens, dtype, config.label_bytes)
    if config.pool_bytes < 2 * layout.page_bytes:
        raise ConfigError(f"pool_bytes is {config.pool_bytes}; this model needs at least {2 * layout.page_bytes}")
    return PagePool(layout, config.pool_bytes, device)


def context_of(config: EngineConfig, model_context: int, pool: PagePool) -> int:
    """Tokens of prompt and reply together. ConfigError when that is more than model or pool can hold."""
    room = pool.capacity * config.page_tokens
    if config.max_context is None:
        return min(model_context, room)
    if config.max_context > model_context:
        raise ConfigError(f"max_context is {config.max_context}; the model was made for {model_context} tokens")
    if config.max_context > room:
        raise ConfigError(f"max_context is {config.max_context}; pool_bytes = {config.pool_bytes} holds {room} tokens")
    return config.max_context
