"""A pager that copies when a test says so, and small parts to use it with."""

from __future__ import annotations

from pathlib import Path

import torch

from inference.engine import packing, peft
from inference.engine.lora import row_map
from inference.engine.pager import Job
from inference.engine.pages import Layout, PagePool
from inference.engine.residency import Adapter
from inference.engine.sequence import AdapterError
from inference.engine.weights import ModelConfig


class HandPager:
    """Jobs wait until `finish`; the pages are really filled then. Jobs whose key is in `broken` fail."""

    def __init__(self, config: ModelConfig, pool: PagePool) -> None:
        self._config, self._pool = config, pool
        self.waiting: list[Job] = []
        self.submitted: list[tuple[str, bool]] = []
        self.broken: set[str] = set()
        self._done: list[Job] = []

    def submit(self, job: Job, urgent: bool) -> None:
        self.submitted.append((job.key, urgent))
        if job not in self.waiting:
            self.waiting.append(job)

    def finish(self, which: int = 0) -> None:
        """End one of the waiting jobs."""
        job = self.waiting.pop(which % len(self.waiting))
        pages = [self._pool.page_bytes(page) for page in job.pages]
        try:
            if job.key in self.broken:
                raise AdapterError("it is broken")
            packing.pack(job.spec, self._config, job.layout, pages, packing.Scratch(), job.descriptor)
        except AdapterError as error:
            job.error = str(error)
        self._done.append(job)

    def finish_all(self) -> None:
        while self.waiting:
            self.finish()

    def finished(self) -> list[Job]:
        found, self._done = self._done, []
        return found

    def wait(self, timeout_s: float) -> None:
        """Nothing comes of waiting: only `finish` ends a job."""


def pool_of(config: ModelConfig, pages: int, tokens: int = 4) -> PagePool:
    layout = Layout(config.layers, config.kv_heads, config.head_dim, tokens, torch.float32)
    return PagePool(layout, (pages + 1) * layout.page_bytes, torch.device("cpu"))


def version(path: Path, config: ModelConfig, pool: PagePool, key: str) -> Adapter:
    spec = peft.inspect(path, config, 64, torch.float32)
    return Adapter(key, key, spec, row_map(config, spec.shape, pool.layout.page_bytes))
