"""The backup's file: whatever is wrong with it is said before a byte of it is used."""

import errno
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from arena.backup import BackupRefused, archive, keys, taking

MEMBERS = [
    ("database.dump", b"d" * 5000),
    ("keys/agon_seal_key", b"k\n"),
    ("releases/first/data.jsonl", b"{}\n" * 1000),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    archive.write(tmp_path / "whole", MEMBERS, {"agon": "0"})
    return tmp_path / "whole"


def test_what_was_written_is_read(file: Path, tmp_path: Path) -> None:
    whole = archive.verify(file)
    assert whole.manifest["agon"] == "0" and set(whole.files) == {name for name, _ in MEMBERS}
    assert whole.read("keys/agon_seal_key") == b"k\n"
    assert whole.extract(archive.RELEASES, tmp_path / "out") == 1
    assert (tmp_path / "out" / "first" / "data.jsonl").read_bytes() == b"{}\n" * 1000
    assert whole.extract(archive.DUMP, tmp_path / "out") == 1
    with pytest.raises(BackupRefused, match="has no nothing"):
        whole.read("nothing")


def rewritten(change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Callable[[Path], None]:
    """The same archive with other members."""

    def apply(path: Path) -> None:
        with tarfile.open(path) as tar:
            members = [(info, tar.extractfile(info).read()) for info in tar]
        change(members)
        with tarfile.open(path, "w") as tar:
            for info, content in members:
                info.size = len(content) if info.isreg() else 0
                tar.addfile(info, io.BytesIO(content))

    return apply


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, content


def manifest(change: dict) -> Callable[[Path], None]:
    def apply(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, content = members.pop()
        members.append((info, json.dumps(json.loads(content) | change).encode()))

    return rewritten(apply)


def flipped(place: int) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)

    return apply


def cut(size: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (flipped(1000), "database.dump differs from the manifest"),
        (cut(3000), "cut off"),
        (cut(11_000), "ends before its manifest|cut off"),
        (cut(0), "no backup of Agon"),
        (lambda path: path.write_bytes(b"-- a dump, perhaps\n" * 100), "no backup of Agon"),
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (rewritten(lambda members: members.pop(2)), "releases/first/data.jsonl differs"),
        (rewritten(lambda members: members.insert(0, member("more", b"x"))), "more differs"),
        (rewritten(lambda members: members.append(member("after", b"x"))), "after should not be there"),
        (rewritten(lambda members: members.insert(0, members[0])), "database.dump should not be there"),
        (rewritten(lambda members: members.insert(0, member("../../etc/cron.d/x", b"x"))), "is not a plain file"),
        (rewritten(lambda members: members.insert(0, member("/etc/x", b"x"))), "is not a plain file"),
        (rewritten(lambda members: members.insert(0, member("releases//etc/x", b"x"))), "is not a plain file"),
        (
            rewritten(lambda members: members.insert(0, member("l", kind=tarfile.SYMTYPE, link="/etc"))),
            "not a plain file",
        ),
        (rewritten(lambda members: members.insert(0, member("d", kind=tarfile.CHRTYPE))), "is not a plain file"),
        (rewritten(lambda members: members.__setitem__(-1, member("manifest.json", b"{"))), "manifest cannot be read"),
        (rewritten(lambda members: members.__setitem__(-1, member("manifest.json", b"[]"))), "manifest cannot be read"),
        (manifest({"format": 2}), "has format 2, this version reads 1"),
    ],
)
def test_whatever_is_wrong_is_said(file: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(file)
    with pytest.raises(BackupRefused, match=said):
        archive.verify(file)


def test_a_file_that_changes_between_the_looks_is_noticed(file: Path, tmp_path: Path) -> None:
    whole = archive.verify(file)
    flipped(1000)(file)
    with pytest.raises(BackupRefused, match="changed while it was being read"):
        whole.extract(archive.DUMP, tmp_path / "out")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(taking, "_facts", dict)
    monkeypatch.setattr(taking, "missing_files", list)
    monkeypatch.setattr(taking.database, "dump", lambda target: target.write_bytes(b"d" * 5000))
    monkeypatch.setattr(archive.os, "fsync", full)
    with pytest.raises(BackupRefused, match="is full"):
        taking.take(tmp_path / "agon.backup")
    assert list(tmp_path.iterdir()) == []


def test_keys_with_spaces_are_the_same_keys(tmp_path: Path, settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "correct horse battery staple", ["an older one"]
    archive.write(tmp_path / "whole", keys.members(), {})
    assert keys.wanted(archive.verify(tmp_path / "whole")) == {}
