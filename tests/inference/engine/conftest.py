"""Models that engine tests share."""

import os
from pathlib import Path

import pytest

from tests.inference.engine.tiny import make_adapter, make_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters of the tiny model, of different ranks and targets."""
    root = tmp_path_factory.mktemp("adapters")
    return {
        "all": make_adapter(root / "all", seed=1, rank=4),
        "attention": make_adapter(root / "attention", seed=2, rank=2, targets=("q", "v")),
        "mlp": make_adapter(root / "mlp", seed=3, rank=8, targets=("up", "down", "o"), use_rslora=True),
    }


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The converted demo model; `make install` makes it, AGON_MODELS_DIR says where else it may be."""
    path = Path(os.environ.get("AGON_MODELS_DIR", ROOT / "var/models")) / "smollm2-135m-instruct"
    if not (path / "model.safetensors").exists():
        pytest.skip(f"{path} does not exist; make install converts the demo model")
    return path
