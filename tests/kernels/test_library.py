"""Building, loading, and what happens without a compiler."""

import ctypes
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels import build, library
from tests.kernels.ways import NO_C

ROOT = Path(__file__).resolve().parents[2]


@NO_C
def test_python_knows_the_sizes_of_the_structs():
    found = library.load()
    for index, struct in enumerate(library.STRUCTS):
        assert found.agon_sizeof(index) == ctypes.sizeof(struct), struct.__name__
    assert found.agon_sizeof(len(library.STRUCTS)) == -1


@NO_C
def test_levels_up_to_the_machines_best():
    found = library.load()
    usable = library.levels(found)
    assert usable[0] == "baseline"
    for level in library.LEVELS:
        assert library.set_level(found, level) == (level if level in usable else usable[-1])
    with pytest.raises(ValueError, match="AGON_KERNELS_LEVEL is 'sse9'"):
        library.set_level(found, "sse9")


@NO_C
def test_built_once_and_again_only_when_something_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("AGON_KERNELS_DIR", str(tmp_path))
    calls = []
    monkeypatch.setattr(build, "_compile", lambda command, path: (calls.append(path), path.touch()))
    first = build.library()
    assert build.library() == first and calls == [first]
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DX"))
    assert build.library() != first and len(calls) == 2


@NO_C
def test_old_builds_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("AGON_KERNELS_DIR", str(tmp_path))
    monkeypatch.setattr(build, "_compile", lambda command, path: path.touch())
    for age in range(6):
        old = tmp_path / f"agon-old-{age}.so"
        old.touch()
        os.utime(old, (age, age))
    made = build.library()
    left = {path.name for path in tmp_path.glob("*.so")}
    assert left == {made.name, "agon-old-5.so", "agon-old-4.so", "agon-old-3.so"}


@NO_C
def test_a_build_in_the_repository_serves_every_installation(tmp_path, monkeypatch):
    """Else each AGON_VAR would compile for seconds; where the repository cannot be written to, AGON_VAR keeps the build."""
    monkeypatch.delenv("AGON_KERNELS_DIR", raising=False)
    monkeypatch.setenv("AGON_VAR", str(tmp_path / "state"))
    monkeypatch.setattr(build, "__file__", str(tmp_path / "code/kernels/build.py"))
    monkeypatch.setattr(build, "_compile", lambda command, path: path.touch())
    (tmp_path / "code").write_text("no folder can be made in a file")
    made = build.library()
    assert made.parent == tmp_path / "state/cache/kernels"
    (tmp_path / "code").unlink()
    made.unlink()
    here = build.library()
    assert here.parent == tmp_path / "code/var/cache/kernels"
    monkeypatch.setenv("AGON_VAR", str(tmp_path / "other"))
    assert build.library() == here


def test_without_a_compiler(tmp_path, monkeypatch, caplog):
    """No compiler and nothing built: said once, and loading gives None. A library built elsewhere serves."""
    monkeypatch.setenv("AGON_KERNELS_DIR", str(tmp_path))
    monkeypatch.setattr(build, "compiler", list)
    library.load.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert library.load() is None and library.load() is None
        assert [r.getMessage() for r in caplog.records if "no C compiler" in r.getMessage()] == [caplog.messages[0]]
    finally:
        library.load.cache_clear()
    brought = tmp_path / f"agon-{os.uname().machine}-{build._source_hash()}-elsewhere.so"
    brought.touch()
    assert build.library() == brought


@pytest.mark.parametrize("command", ["false", sys.executable])
def test_a_compiler_that_fails_is_no_crash(tmp_path, monkeypatch, command):
    monkeypatch.setenv("AGON_KERNELS_DIR", str(tmp_path))
    monkeypatch.setenv("CC", command)
    with pytest.raises(build.BuildError, match="failed"):
        build.library()
    assert not list(tmp_path.iterdir())
    assert build.main() == 0


@NO_C
def test_the_level_can_be_forced_by_the_environment():
    code = "from kernels import library; print(library.levels(library.load()), library.load().agon_set_level(9))"
    run = [sys.executable, "-c", code]
    for value, good in (("baseline", True), ("sse9", False)):
        done = subprocess.run(
            run, cwd=ROOT, env=os.environ | {"AGON_KERNELS_LEVEL": value}, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == good, done.stderr


@NO_C
def test_a_forked_child_works_alone():
    """Threads do not survive a fork: the child computes with one, and does not hang."""
    code = (
        "import os, torch\n"
        "from kernels import library\n"
        "from kernels.pointwise import silu_mul\n"
        "c = library.load(); assert c.agon_set_threads(2) == 2\n"
        "x = torch.randn(64, 64); y = silu_mul(x, 'c')\n"
        "pid = os.fork()\n"
        "same = torch.equal(silu_mul(x, 'c'), y)\n"
        "if pid == 0: os._exit(0 if same else 1)\n"
        "assert same and os.waitpid(pid, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
