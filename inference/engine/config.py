"""What an operator can set about one engine process. Every bound of the engine is a field here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16"]
Kernels = Literal["auto", "c", "torch", "triton"]
Rows = Literal["auto", "compute", "file"]

MIB = 1 << 20


class ConfigError(ValueError):
    """The engine cannot start with these settings; the message says which one to change."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of one engine.

    `pool_bytes` bounds the page arena (KV of all running sequences); memory is touched only as pages are first used.
    `page_tokens` is the KV page size in tokens. `max_batch_tokens` bounds the tokens of one forward pass, and so the
    time a long prompt can hold up others (None: 128 on CPU, 2048 on CUDA). `max_running` bounds sequences in the batch.
    `max_context` bounds prompt + output in tokens (None: what the model and the pool allow, whichever is less).
    `threads` are compute threads (None: torch's default). `kernels`: the C kernels where they can run, else torch (auto);
    always C; torch alone; or Triton's, which are for CUDA. `radix` keeps the pages of what was computed as long as there is
    room, so that a request that begins in the same way need not compute them. `label_bytes` are reserved per token and layer
    of a KV page for the label rows of sparse decode.

    `max_adapters` may be registered, of at most `max_adapter_rank`; they come into the pool when needed, from a host cache of
    `adapter_cache_bytes`. Those of the next `prefetch_requests` waiting requests come in early. `adapter_rows` is the
    dtype of their rows in the pool: the engine's own ("compute"), or each file's ("file": half the memory for 16-bit files,
    widened as they are read); "auto" is the latter where the C kernels run, which widen in registers.
    """

    model_path: Path
    device: Device = "cpu"
    dtype: Dtype = "float32"
    threads: int | None = None
    kernels: Kernels = "auto"
    pool_bytes: int = 256 * MIB
    page_tokens: int = 16
    max_batch_tokens: int | None = None
    max_running: int = 32
    max_context: int | None = None
    label_bytes: int = 0
    max_adapters: int = 4096
    max_adapter_rank: int = 64
    adapter_cache_bytes: int = 256 * MIB
    adapter_rows: Rows = "auto"
    prefetch_requests: int = 8
    max_logprobs: int = 20
    radix: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no engine can run with (ConfigError)."""
        at_least = {"pool_bytes": 1, "page_tokens": 1, "max_running": 2, "max_adapters": 0, "max_adapter_rank": 1}
        at_least |= {"adapter_cache_bytes": 0, "max_logprobs": 0, "label_bytes": 0, "prefetch_requests": 0}
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {low}")
        for name in ("threads", "max_batch_tokens", "max_context"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1, or left out")
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"device is {self.device!r}; it must be 'cpu' or 'cuda'")
        if self.kernels not in get_args(Kernels):
            raise ConfigError(f"kernels is {self.kernels!r}; it must be one of: {', '.join(get_args(Kernels))}")
        if self.dtype not in ("float32", "bfloat16"):
            raise ConfigError(f"dtype is {self.dtype!r}; it must be 'float32' or 'bfloat16'")
        if self.adapter_rows not in ("auto", "compute", "file"):
            raise ConfigError(f"adapter_rows is {self.adapter_rows!r}; it must be 'auto', 'compute' or 'file'")
        if self.batch_tokens < self.max_running:
            raise ConfigError(
                f"max_batch_tokens is {self.batch_tokens} and max_running {self.max_running}: "
                "each running sequence decodes one token per step, so raise the first or lower the second"
            )

    @property
    def batch_tokens(self) -> int:
        """Tokens of one forward pass, with the device's default filled in."""
        if self.max_batch_tokens is not None:
            return self.max_batch_tokens
        return max(128, self.max_running) if self.device == "cpu" else 2048
