"""--adapters-dir: what appears, changes, is broken or goes, each told once."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from inference.engine import peft
from inference.engine.adapter_folder import AdapterFolder
from inference.engine.sequence import AdapterError
from inference.engine.weights import read_config
from tests.inference.engine.tiny import make_adapter


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> AdapterFolder:
    config = read_config(tiny_model)
    root = tmp_path / "adapters"
    root.mkdir()

    def inspect(path: Path, inside: Path) -> peft.Spec:
        return peft.inspect(path, config, 64, torch.float32, inside)

    return AdapterFolder(root, inspect, frozenset({"base"}))


def found(folder: AdapterFolder) -> tuple[list[str], list[str]]:
    changes = folder.scan()
    return sorted(changes.found), changes.gone


def test_what_comes_changes_and_goes(folder: AdapterFolder) -> None:
    assert found(folder) == ([], [])
    for i, name in enumerate(["a", "b"]):
        make_adapter(folder.root / name, seed=i)
    (folder.root / "notes.txt").write_text("nothing")
    (folder.root / "empty").mkdir()
    assert found(folder) == (["a", "b"], [])
    assert found(folder) == ([], [])
    make_adapter(folder.root / "a", seed=5, rank=2)
    shutil.rmtree(folder.root / "b")
    assert found(folder) == (["a"], ["b"])
    make_adapter(folder.root / "b", seed=1)
    assert found(folder) == (["b"], [])


def test_a_broken_one_is_told_once_per_version(folder: AdapterFolder, caplog: pytest.LogCaptureFixture) -> None:
    path = make_adapter(folder.root / "half", seed=1)
    whole = (path / peft.TENSORS).read_bytes()
    make_adapter(folder.root / "good", seed=2)
    (path / peft.TENSORS).write_bytes(whole[: len(whole) // 2])  # somebody is still copying
    with caplog.at_level(logging.WARNING):
        assert found(folder) == (["good"], [])
        assert found(folder) == ([], [])
    assert [record.getMessage() for record in caplog.records if "half" in record.getMessage()] != []
    assert len(caplog.records) == 1
    (path / peft.TENSORS).write_bytes(whole)
    assert found(folder) == (["half"], [])


def test_names_that_are_taken_or_odd_are_left_alone(folder: AdapterFolder, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("base", "fine-1.2", "with space", "-dash", "ünïcode", "x" * 129):
        make_adapter(folder.root / name, seed=1)
    with caplog.at_level(logging.WARNING):
        assert found(folder) == (["fine-1.2"], [])
    assert len(caplog.records) == 4 and all("is no name for an adapter" in r.getMessage() for r in caplog.records)


def test_only_what_is_inside(folder: AdapterFolder, tmp_path: Path) -> None:
    outside = make_adapter(tmp_path / "outside", seed=1)
    (folder.root / "link").symlink_to(outside)
    assert found(folder) == ([], [])
    for path in ("../outside", str(outside), "link", "/"):
        with pytest.raises(AdapterError):
            folder.inspect("name", path)
    make_adapter(folder.root / "deep" / "er", seed=1)
    assert folder.inspect("name", "deep/er").shape.rank == 4
    assert folder.inspect("name", str(folder.root / "deep" / "er")).shape.rank == 4


def test_what_was_loaded_or_unloaded_by_hand_is_not_found_again(folder: AdapterFolder) -> None:
    make_adapter(folder.root / "a", seed=1)
    folder.loaded("a")
    assert found(folder) == ([], [])
    os.utime(folder.root / "a" / peft.TENSORS)
    assert found(folder) == (["a"], [])


def test_a_folder_that_cannot_be_listed_changes_nothing(folder: AdapterFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    make_adapter(folder.root / "a", seed=1)
    assert found(folder) == (["a"], [])

    def refuses(self: Path, pattern: str) -> list[Path]:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "glob", refuses)
    assert found(folder) == ([], []), "a is not gone for that"
