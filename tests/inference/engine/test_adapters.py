"""Adapters of a core: versions, draining, thousands of them, files that turn bad; requests see the right one or an error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.engine import peft
from inference.engine.compiled import CompiledModel
from inference.engine.core import EngineCore
from inference.engine.pages import Kind
from inference.engine.sequence import AdapterError, RequestError, StepOutput, UnknownAdapter
from inference.scheduler.protocol import Request
from tests.inference.engine.copies import HandPager
from tests.inference.engine.tiny import check_pages, drain, generate, make_adapter, make_core, sequence

PROMPT = [5, 9, 100, 7]


def tokens(core: EngineCore, adapter: str | None, name: str = "x") -> list[int]:
    return generate(core, sequence(name, PROMPT, adapter))[name]


def by_hand(core: EngineCore) -> HandPager:
    """Copies end when the test says so."""
    pager = HandPager(core.model_config, core.pool)
    core.adapter_store.residency._pager = pager
    return pager


def said(outputs: list[StepOutput]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for output in outputs:
        assert output.error is None
        found.setdefault(output.seq_id, []).extend(output.token_ids)
    return found


def test_a_request_whose_adapter_is_on_its_way_holds_up_nobody(
    tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    core = make_core(tiny_model)
    core.load_adapter("a", tiny_adapters["all"])
    wanted = {"adapted": tokens(core, "a"), "plain": tokens(core, None)}
    core.unload_adapter("a")
    core.load_adapter("a", tiny_adapters["all"])
    pager = by_hand(core)
    core.add(sequence("adapted", PROMPT, "a"), 0.0)
    core.add(sequence("plain", PROMPT), 0.0)
    outputs = [output for _ in range(5) for output in core.step(0.0)]
    assert said(outputs) == {"plain": wanted["plain"][:5]}
    assert core.stats()["running"] == 2 and core.stats()["adapters_loading"] == 1
    pager.finish()
    assert said(outputs + drain(core)) == wanted
    check_pages(core)


def test_the_next_requests_adapters_come_in_while_the_batch_runs(
    tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    """In the order that the scheduler says."""
    core = make_core(tiny_model, max_running=2, prefetch_requests=1)
    for name, path in tiny_adapters.items():
        core.load_adapter(name, path)
    pager = by_hand(core)
    for i in range(2):
        core.add(sequence(f"base{i}", PROMPT, max_tokens=30), 0.0)
    core.step(0.0)
    core.add(sequence("first", PROMPT, "attention"), 0.0)
    core.add(sequence("second", PROMPT, "mlp"), 0.0)
    core.step(0.0)
    attention = core.adapter_store.find("attention").key
    assert pager.submitted == [(attention, False)]

    def upcoming(count: int) -> list[Request]:
        assert count == 1
        return [seq.request for seq in core._batch.waiting.values() if seq.id == "second"]

    core.scheduler.upcoming = upcoming  # type: ignore[attr-defined]
    core.step(0.0)
    assert pager.submitted[1:] == [(core.adapter_store.find("mlp").key, False)]
    pager.finish_all()
    core.step(0.0)
    assert core.stats()["adapters_resident"] == 2 and core.stats()["adapter_prefetches_total"] == 2
    pages = core.pool.held(Kind.ADAPTER)
    drain(core)
    assert core.stats()["adapter_loads_total"] == 2 and core.pool.held(Kind.ADAPTER) == pages


def test_loading_a_name_again_leaves_accepted_requests_with_what_they_were_accepted_with(
    tiny_model: Path, tiny_adapters: dict[str, Path]
) -> None:
    core = make_core(tiny_model)
    core.load_adapter("a", tiny_adapters["all"])
    old = tokens(core, "a")
    core.unload_adapter("a")
    core.load_adapter("a", tiny_adapters["mlp"])
    new = tokens(core, "a")
    assert old != new
    core.add(sequence("mlp", PROMPT, "a"), 0.0)
    spec = core.adapter_store.inspect(tiny_adapters["all"])
    core.adapter_store.register("a", spec, replace=True)
    assert core.stats()["adapters"] == 1
    core.add(sequence("all", PROMPT, "a"), 0.0)
    keys = {name: core.adapter_store.key(name) for name in ("mlp", "all")}
    assert len(set(keys.values())) == 2, "what one computed must not be reused under the other"
    assert said(drain(core)) == {"mlp": new, "all": old}
    check_pages(core)
    assert core.adapter_store.key("all") == ""


def test_accepted_requests_survive_the_folder(tmp_path: Path, tiny_model: Path) -> None:
    """Unloaded and deleted while one waits and the adapter is nowhere in memory: it finishes all the same."""
    core = make_core(tiny_model, max_running=2, adapter_cache_bytes=1 << 20)
    path = make_adapter(tmp_path / "a", seed=1)
    core.adapter_store.register("a", core.adapter_store.inspect(path))
    wanted = tokens(core, "a")
    core.adapter_store.residency.reclaim(1000)
    for i in range(2):
        core.add(sequence(f"base{i}", PROMPT), 0.0)
    core.step(0.0)
    core.add(sequence("late", PROMPT, "a"), 0.0)
    core.adapter_store.cache.drop(core.adapter_store.key("late"))
    core.unload_adapter("a")
    shutil.rmtree(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnknownAdapter):
        core.add(sequence("later", PROMPT, "a"), 0.0)
    assert said(drain(core))["late"] == wanted
    assert len(os.listdir("/proc/self/fd")) == before - 1, "the file is let go"
    assert core.pool.held(Kind.ADAPTER) == 0
    check_pages(core)


@pytest.mark.parametrize("damage", ["truncated", "gone", "not finite"])
def test_a_file_that_has_turned_bad_fails_its_requests_alone(tmp_path: Path, tiny_model: Path, damage: str) -> None:
    core = make_core(tiny_model)
    good, bad = make_adapter(tmp_path / "good", seed=1), make_adapter(tmp_path / "bad", seed=2)
    file = bad / peft.TENSORS
    if damage == "not finite":
        raw = bytearray(file.read_bytes())
        raw[-4:] = b"\xff\xff\xff\x7f"
        file.write_bytes(raw)
    for name, path in (("good", good), ("bad", bad)):
        core.adapter_store.register(name, core.adapter_store.inspect(path))
    if damage == "truncated":
        os.truncate(file, 1000)
    elif damage == "gone":
        file.unlink()
    for name, adapter in (("b1", "bad"), ("g", "good"), ("b2", "bad"), ("base", None)):
        core.add(sequence(name, PROMPT, adapter), 0.0)
    outputs = drain(core)
    ends = {o.seq_id: (o.finish_reason, o.error or "") for o in outputs if o.finish_reason}
    assert ends["g"] == ("length", "") and ends["base"] == ("length", "")
    for name in ("b1", "b2"):
        assert ends[name][0] == "error" and "adapter 'bad' cannot be used" in ends[name][1]
    assert core.stats()["adapter_failures_total"] >= 1 and core.pool.used == 0 and core.scheduler.waiting() == 0
    check_pages(core)
    if damage != "gone":
        with pytest.raises(RequestError, match="cannot be used"):
            core.add(sequence("b3", PROMPT, "bad"), 0.0)
    shutil.copytree(make_adapter(tmp_path / "again", seed=2), bad, dirs_exist_ok=True)
    core.adapter_store.register("bad", core.adapter_store.inspect(bad), replace=True)
    assert len(tokens(core, "bad")) == 12


def test_an_adapter_that_comes_back_is_read_in_its_new_pages(tmp_path: Path, tiny_model: Path) -> None:
    core = make_core(tiny_model, pages=60, radix=False)
    for name, seed in (("a", 1), ("b", 2)):
        core.load_adapter(name, make_adapter(tmp_path / name, seed=seed))
    wanted = tokens(core, "a")
    first = list(core.adapter_store.find("a").pages)
    assert core.pool.make_room(60)
    other = tokens(core, "b")
    assert set(core.adapter_store.find("b").pages) & set(first), "b lies where a lay"
    assert tokens(core, "a") == wanted != other and core.adapter_store.find("a").pages != first
    check_pages(core)


def test_a_preempted_request_holds_no_adapter(tiny_model: Path, tiny_adapters: dict[str, Path]) -> None:
    core = make_core(tiny_model)
    core.load_adapter("a", tiny_adapters["all"])
    wanted = tokens(core, "a")
    core.add(sequence("y", PROMPT, "a"), 0.0)
    outputs = [output for _ in range(3) for output in core.step(0.0)]
    assert core.adapter_store.residency.reclaimable == 0
    core._batch._preempt(core._batch.running["y"])
    assert core.adapter_store.residency.reclaimable == core.pool.held(Kind.ADAPTER) == 15
    assert core.pool.used == 0 and core.pool.make_room(core.pool.capacity)
    assert said(outputs + drain(core)) == {"y": wanted}


def test_an_adapter_that_leaves_no_room_is_refused_at_load_and_a_request_at_arrival(
    tmp_path: Path, tiny_model: Path
) -> None:
    core = make_core(tiny_model, pages=24)
    with pytest.raises(AdapterError, match="leaves none for a request"):
        core.load_adapter("huge", make_adapter(tmp_path / "huge", seed=1, rank=16))
    core.load_adapter("a", make_adapter(tmp_path / "a", seed=1, rank=4))  # 15 pages
    core.add(sequence("fits", [5] * 24, "a", max_tokens=12), 0.0)  # 9 pages
    with pytest.raises(RequestError, match="10 pages and adapter 'a' 15; the pool has 24"):
        core.add(sequence("never", [5] * 25, "a", max_tokens=12), 0.0)
    core.add(sequence("base", [5] * 25, max_tokens=12), 0.0)
    assert set(said(drain(core))) == {"fits", "base"}


def test_thousands_are_registered_by_their_headers(tmp_path: Path, tiny_model: Path) -> None:
    """None of their values are read, no page is taken, and any of them can be asked for."""
    core = make_core(tiny_model, max_adapters=3000)
    spec = core.adapter_store.inspect(make_adapter(tmp_path / "a", seed=1))
    for i in range(3000):
        core.adapter_store.register(f"a{i}", spec)
    with pytest.raises(AdapterError, match="max_adapters"):
        core.adapter_store.register("more", spec)
    stats = core.stats()
    assert (stats["adapters"], stats["pages_adapter"], stats["adapter_cache_bytes"]) == (3000, 0, 0)
    assert len({tuple(tokens(core, f"a{i}")) for i in (0, 1500, 2999)}) == 1
    with pytest.raises(UnknownAdapter, match="and 2980 more"):
        core.add(sequence("x", PROMPT, "nobody"), 0.0)


@pytest.mark.parametrize(
    ("rows", "kernels"), [("compute", "auto"), ("file", "torch"), ("auto", "torch"), ("auto", "auto")]
)
def test_rows_may_keep_the_type_of_the_file(tmp_path: Path, tiny_model: Path, rows: Any, kernels: Any) -> None:
    """Half the pages for a 16-bit file, and the same tokens: widening is exact."""
    import torch
    from safetensors.torch import load_file, save_file

    path = make_adapter(tmp_path / "a", seed=1)
    save_file({key: t.half() for key, t in load_file(path / peft.TENSORS).items()}, path / peft.TENSORS)
    wide = make_core(tiny_model, adapter_rows="compute")
    wide.load_adapter("a", path)
    core = make_core(tiny_model, adapter_rows=rows, kernels=kernels)
    core.load_adapter("a", path)
    assert tokens(core, "a") == tokens(wide, "a")
    shape, half = core.adapter_store.find("a").spec.shape, rows == "file" or isinstance(core.model, CompiledModel)
    half = half and rows != "compute"
    assert shape.dtype == (torch.float16 if half else torch.float32)
    assert core.pool.held(Kind.ADAPTER) == (8 if half else 15)


def test_label_rows_may_be_reserved(tiny_model: Path, tiny_adapters: dict[str, Path]) -> None:
    """The space that sparse decode will use changes the page, not what is said; adapters use all of the page."""
    plain, reserved = make_core(tiny_model), make_core(tiny_model, label_bytes=32, pool_bytes=1 << 20)
    for core in (plain, reserved):
        core.load_adapter("a", tiny_adapters["all"])
    assert tokens(plain, "a") == tokens(reserved, "a")
    assert reserved.pool.layout.label_slabs == 1
    assert reserved.pool.held(Kind.ADAPTER) == 10 and plain.pool.held(Kind.ADAPTER) == 15
