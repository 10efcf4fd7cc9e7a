"""The copy thread: it fills pages of the pool with adapters while the engine thread computes (S-LoRA, section 5.2).

The engine thread allocates the pages and hands over a job; nobody reads or frees them until the job comes back. Demanded
adapters go before prefetched ones. The thread ends by itself when it has had nothing to do for a moment.
On CUDA the copies run on a stream of their own, from pinned memory; this has not been run on a GPU.
Tests: tests/inference/engine/test_pager.py.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from inference.engine import packing, peft
from inference.engine.host_cache import HostCache
from inference.engine.lora import RowMap
from inference.engine.pages import PagePool
from inference.engine.sequence import AdapterError
from inference.engine.weights import ModelConfig

IDLE_S = 1.0


@dataclass(slots=True, eq=False)
class Job:
    """Fill `pages` with the adapter `key`. `error` is set when that failed; `descriptor` is its file, where it may be gone."""

    key: str
    spec: peft.Spec
    layout: RowMap
    pages: Sequence[int]
    descriptor: int | None = None
    error: str | None = None
    begun: bool = False
    after: torch.cuda.Event | None = field(default=None, repr=False)


class Pager(Protocol):
    """What `residency` needs of a copier; tests drive one by hand."""

    def submit(self, job: Job, urgent: bool) -> None:
        """Begin a job. The same job may come again, as urgent."""

    def finished(self) -> list[Job]:
        """Jobs that ended since the last call, well or not."""

    def wait(self, timeout_s: float) -> None:
        """Return when a job has ended since `finished`, or after `timeout_s`."""


class CopyThread:
    """A `Pager` with one thread. `seconds` and `copied_bytes` count its work."""

    def __init__(self, config: ModelConfig, pool: PagePool, cache: HostCache) -> None:
        self._config, self._pool, self._cache = config, pool, cache
        self._cuda = pool.arena.device.type == "cuda"
        self._scratch = packing.Scratch()
        self._todo: queue.PriorityQueue[tuple[int, int, Job]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._running = False
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._news = threading.Event()
        self.seconds, self.copied_bytes = 0.0, 0

    def submit(self, job: Job, urgent: bool) -> None:
        """See `Pager.submit`."""
        if self._cuda and job.after is None:
            job.after = torch.cuda.Event()
            job.after.record()  # what the engine thread has queued may still read these pages
        self._todo.put((0 if urgent else 1, next(self._order), job))
        with self._lock:
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="adapter-copies", daemon=True).start()

    def finished(self) -> list[Job]:
        """See `Pager.finished`."""
        self._news.clear()
        found: list[Job] = []
        while True:
            try:
                found.append(self._done.get_nowait())
            except queue.Empty:
                return found

    def wait(self, timeout_s: float) -> None:
        """See `Pager.wait`."""
        self._news.wait(timeout_s)

    def _run(self) -> None:
        while True:
            try:
                _, _, job = self._todo.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._todo.empty():
                        self._running = False
                        return
                continue
            if not job.begun:  # else it was asked for again, more urgently, and that entry came first
                job.begun = True
                self._do(job)

    def _do(self, job: Job) -> None:
        began = time.thread_time()
        try:
            self._fill(job)
            self.copied_bytes += job.layout.nbytes
        except AdapterError as error:
            job.error = str(error)
        except Exception as error:  # of one adapter: the engine and the others go on
            job.error = f"{job.spec.file} cannot be read: {error!r}"
        self.seconds += time.thread_time() - began
        self._done.put(job)
        self._news.set()

    def _fill(self, job: Job) -> None:
        image = self._cache.get(job.key)
        if image is None and not self._cuda:
            packing.pack(job.spec, self._config, job.layout, self._pages(job), self._scratch, job.descriptor)
            if self._cache.returning(job.key):
                self._cache.put(job.key, self._image_of(job))
            return
        if image is None:
            image = self.warm(job)
        parts = list(zip(self._pages(job), image.split(self._pool.layout.page_bytes), strict=True))
        if self._cuda:
            self._copy_to_device(job, parts)
            return
        for page, part in parts:  # numpy copies in this thread alone: torch would take the other cores from the engine
            np.copyto(page.numpy()[: len(part)], part.numpy())

    def warm(self, job: Job) -> Tensor:
        """Read the adapter into the host cache. Any thread. AdapterError when it cannot be read."""
        image = torch.empty(job.layout.nbytes, dtype=torch.uint8, pin_memory=self._cuda)
        pages = image.split(self._pool.layout.page_bytes)
        packing.pack(job.spec, self._config, job.layout, pages, packing.Scratch(), job.descriptor)
        self._cache.put(job.key, image)
        return image

    def _pages(self, job: Job) -> list[Tensor]:
        return [self._pool.page_bytes(page) for page in job.pages]

    def _image_of(self, job: Job) -> Tensor:
        image = torch.empty(job.layout.nbytes, dtype=torch.uint8)
        for part, page in zip(image.split(self._pool.layout.page_bytes), self._pages(job), strict=True):
            np.copyto(part.numpy(), page.numpy()[: len(part)])
        return image

    def _copy_to_device(self, job: Job, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        stream = torch.cuda.Stream(self._pool.arena.device)
        with torch.cuda.stream(stream):
            if job.after is not None:
                stream.wait_event(job.after)
            for page, part in parts:
                page[: len(part)].copy_(part, non_blocking=True)
        stream.synchronize()
