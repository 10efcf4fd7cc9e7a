"""The copy thread: urgent jobs first, one bad file harms no other, and it ends when there is nothing to do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference.engine import packing, pager, peft
from inference.engine.host_cache import HostCache
from inference.engine.pager import CopyThread, Job
from inference.engine.pages import Kind, PagePool
from inference.engine.weights import ModelConfig, read_config
from tests.inference.engine.copies import pool_of, version
from tests.inference.engine.tiny import make_adapter


@pytest.fixture
def config(tiny_model: Path) -> ModelConfig:
    return read_config(tiny_model)


def job(path: Path, config: ModelConfig, pool: PagePool) -> Job:
    adapter = version(path, config, pool, path.name)
    return Job(path.name, adapter.spec, adapter.layout, pool.alloc(adapter.layout.pages, Kind.ADAPTER))


def ended(copies: CopyThread, count: int) -> list[Job]:
    found: list[Job] = []
    until = time.monotonic() + 10
    while len(found) < count and time.monotonic() < until:
        copies.wait(0.1)
        found += copies.finished()
    return found


def test_pages_hold_the_file_whichever_way_they_are_filled(tmp_path: Path, config: ModelConfig) -> None:
    """Straight from the file, from the file into cache and pool (it came back), from the cache: the same bytes."""
    pool = pool_of(config, 100)
    cache = HostCache(1 << 20)
    copies = CopyThread(config, pool, cache)
    path = make_adapter(tmp_path / "a", seed=1, rank=3)
    images = []
    for kept in (0, 1, 1):
        one = job(path, config, pool)
        copies.submit(one, urgent=True)
        assert ended(copies, 1) == [one] and one.error is None
        assert len(cache) == kept
        images.append(torch.cat([pool.page_bytes(page) for page in one.pages])[: one.layout.nbytes].clone())
    assert cache.hits == 1 and torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])
    assert copies.copied_bytes == 3 * len(images[0])
    size = sum(tensor.nbytes for tensor in load_file(path / peft.TENSORS).values())
    assert size <= len(images[0]) < size * 1.2


def test_urgent_jobs_go_first_and_only_once(
    tmp_path: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(config, 100)
    copies = CopyThread(config, pool, HostCache(0))
    begun, gate = threading.Event(), threading.Event()
    real = CopyThread._fill

    def slow(self: CopyThread, one: Job) -> None:
        begun.set()
        gate.wait(10)
        real(self, one)

    monkeypatch.setattr(CopyThread, "_fill", slow)
    jobs = {key: job(make_adapter(tmp_path / key, seed=1, targets=("q",)), config, pool) for key in "abcd"}
    copies.submit(jobs["a"], urgent=False)
    begun.wait(10)
    for key in "bcd":
        copies.submit(jobs[key], urgent=key == "d")
    copies.submit(jobs["c"], urgent=True)  # asked for again
    gate.set()
    assert [one.key for one in ended(copies, 4)] == ["a", "d", "c", "b"]
    copies.wait(0.01)
    assert copies.finished() == []


def test_a_bad_file_harms_no_other(tmp_path: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of(config, 100)
    copies = CopyThread(config, pool, HostCache(1 << 20))
    good, gone, odd = (job(make_adapter(tmp_path / key, seed=1), config, pool) for key in ("good", "gone", "odd"))
    (tmp_path / "gone" / peft.TENSORS).unlink()
    real = packing.pack

    def explodes(spec: peft.Spec, *args: object) -> None:
        if "odd" in str(spec.file):
            raise ZeroDivisionError("of all things")
        real(spec, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "pack", explodes)
    for one in (gone, odd, good):
        copies.submit(one, urgent=True)
    errors = {one.key: one.error for one in ended(copies, 3)}
    assert errors["good"] is None
    assert errors["gone"] is not None and "does not exist" in errors["gone"]
    assert errors["odd"] is not None and "of all things" in errors["odd"]


def test_the_thread_ends_and_comes_back(tmp_path: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pager, "IDLE_S", 0.05)
    pool = pool_of(config, 100)
    copies = CopyThread(config, pool, HostCache(0))

    for _ in range(2):
        copies.submit(job(make_adapter(tmp_path / "a", seed=1), config, pool), urgent=True)
        assert len(ended(copies, 1)) == 1
        until = time.monotonic() + 5
        while copies._running and time.monotonic() < until:
            time.sleep(0.01)
        assert not copies._running


def test_waiting_ends_with_a_copy_or_with_time(tmp_path: Path, config: ModelConfig) -> None:
    pool = pool_of(config, 100)
    copies = CopyThread(config, pool, HostCache(0))
    began = time.monotonic()
    copies.wait(0.05)
    assert time.monotonic() - began >= 0.05
    copies.submit(job(make_adapter(tmp_path / "a", seed=1), config, pool), urgent=True)
    copies.wait(10)
    assert len(copies.finished()) == 1
