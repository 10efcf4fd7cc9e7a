"""`manage.py fetch_model`: the command's words, and switching the local engine to another model."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from arena import local_engine, pairing, processes, registry
from arena.demo.roster import seed_roster
from arena.models import Contestant
from inference.models import Deployment, EngineEndpoint
from tests.inference.engine import tiny
from tests.inference.engine.tiny_text import make_text


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = make_text(tmp_path / "Big-Llama")
    (path / "config.json").write_text(json.dumps(tiny.CONFIG))
    (path / "model.safetensors").write_bytes(b"weights")
    return path


@pytest.fixture(autouse=True)
def folders(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MODELS_DIR = tmp_path / "models"
    settings.ENGINE_MODEL_FILE = tmp_path / "engine.model"
    monkeypatch.setenv("AGON_VAR", str(tmp_path))
    monkeypatch.delenv("AGON_ENGINE_MODEL", raising=False)
    monkeypatch.delenv("AGON_ENGINE_ADAPTERS", raising=False)


def run(*args: str) -> str:
    out = StringIO()
    call_command("fetch_model", *args, stdout=out)
    return out.getvalue()


def test_it_says_where_the_model_is_and_how_to_use_it(source: Path, tmp_path: Path) -> None:
    said = run(str(source))
    path = tmp_path / "models" / "big-llama"
    assert (path / "config.json").exists()
    assert f"fetch_model {path} --switch" in said


def test_what_it_says_to_do_works(db: None, source: Path, tmp_path: Path) -> None:
    line = next(line for line in run(str(source)).splitlines() if "fetch_model" in line)
    said = run(*line.split("fetch_model ")[1].split(", then")[0].split())
    assert "1 in the ring" in said
    assert "needs two contestants" in said
    assert processes.Layout().engine_model == (tmp_path / "models" / "big-llama").resolve()


def test_a_failure_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither a directory nor a hub id"):
        run("nonsense")


def test_switching_serves_the_new_model_and_nothing_else_there(db: None, source: Path) -> None:
    seed_roster()
    elsewhere = EngineEndpoint.objects.create(name="vendor", base_url="https://host/v1")
    Deployment.objects.create(model="vendor-model", endpoint=elsewhere, upstream_name="v")
    run(str(source), "--name", "big", "--switch")
    assert set(Deployment.objects.filter(enabled=True).values_list("model", flat=True)) == {"big", "vendor-model"}
    contestant = Contestant.objects.get(slug="big")
    told = registry.current_revision(contestant).told()
    assert (told["context_length"], told["max_tokens"], told["system_prompt"]) == (
        256,
        128,
        local_engine.NEUTRAL_PROMPT,
    )
    assert [revision.contestant for revision in pairing.in_the_ring()] == [contestant]


def test_switching_twice_changes_nothing_and_back_brings_the_old_ones(db: None, source: Path, tmp_path: Path) -> None:
    seed_roster()
    run(str(source), "--name", "big", "--switch")
    run(str(source), "--name", "big", "--switch")
    assert Contestant.objects.filter(slug="big").count() == 1
    make_text(tmp_path / "models" / processes.DEMO_MODEL)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "models" / processes.DEMO_MODEL / name).write_bytes((source / name).read_bytes())
    run(str(tmp_path / "models" / processes.DEMO_MODEL), "--switch")
    assert len(pairing.in_the_ring()) == 4


def test_the_process_table_follows(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = tmp_path / "models" / processes.DEMO_MODEL
    monkeypatch.setenv("AGON_MODELS_DIR", str(tmp_path / "models"))
    assert processes.Layout().engine_model == demo
    assert processes.engine_adapters(demo)[1].endswith("inference/demo/adapters")
    (tmp_path / "engine.model").write_text(f"{source}\n")
    assert processes.Layout().engine_model == source
    assert processes.engine_adapters(source) == (), "the demo's adapters fit the demo's model only"
    monkeypatch.setenv("AGON_ENGINE_ADAPTERS", "/own")
    assert processes.engine_adapters(source) == ("--adapters-dir", "/own")
    monkeypatch.setenv("AGON_ENGINE_MODEL", "/other")
    assert processes.Layout().engine_model == Path("/other")


def test_an_operator_adds_to_the_engines_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGON_ENGINE_FLAGS", "--scheduler fcfs --max-running 16 --name 'two words'")
    argv = processes.engine(processes.Layout()).argv
    assert argv[-6:] == ("--scheduler", "fcfs", "--max-running", "16", "--name", "two words")
    monkeypatch.delenv("AGON_ENGINE_FLAGS")
    assert processes.engine(processes.Layout()).argv[-2] == "--drain-timeout"
