"""Adapters loaded and unloaded through the registry, on the engine itself in a process of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from arena import pairing, registry
from arena.models import AuditEntry, Contestant
from inference.models import Adapter, Deployment, EndpointKind, EngineEndpoint
from inference.probe import probe_all
from inference.targets import target_of
from tests.inference.engine.tiny import make_adapter, make_model
from tests.inference.engine.tiny_text import VOCAB, make_text

PROJECT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-the-tests"


@dataclass
class Engine:
    url: str
    folder: Path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Serves `tiny`; looks into its folder of adapters only when it is told to."""
    folder = tmp_path_factory.mktemp("e")
    model = make_text(make_model(folder / "tiny", vocab_size=VOCAB, max_position_embeddings=512))
    (folder / "adapters").mkdir()
    command = [sys.executable, "-m", "inference.engine", "--model", str(model), "--uds", str(folder / "s")]
    command += ["--adapters-dir", str(folder / "adapters"), "--adapters-scan", "0", "--threads", "1", "--pool-mb", "16"]
    command += ["--drain-timeout", "0.5"]
    environment = {"AGON_ENGINE_KEY": KEY, "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "ready" in line, f"the engine did not start: {line!r}"
        yield Engine(f"unix://{folder / 's'}", folder / "adapters")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture
def endpoint(db: None, engine: Engine) -> EngineEndpoint:
    """As an operator has it: an endpoint, a deployment of its base model, and a contestant of that."""
    row = EngineEndpoint(name="gpu", kind=EndpointKind.ENGINE, base_url=engine.url, has_scheduler=True)
    row.set_key(KEY)
    row.save()
    Deployment.objects.create(model="tiny-llama", endpoint=row, upstream_name="tiny")
    registry.create(
        {"name": "Tiny", "slug": "tiny", "organisation": "us"},
        {"model": "tiny-llama", "context_length": 400, "max_tokens": 50},
    )
    return row


def run(*args: str) -> str:
    out = StringIO()
    call_command("adapter", *args, "--endpoint", "gpu", stdout=out)
    return out.getvalue()


def in_the_ring() -> set[str]:
    return {revision.contestant.name for revision in pairing.in_the_ring()}


def replies() -> list[str]:
    """What every deployment says to the same prompt, or why it does not."""
    targets = [target_of(deployment) for deployment in Deployment.objects.select_related("endpoint")]
    return [result.text or result.code for result in asyncio.run(probe_all(targets))]


def test_a_loaded_adapter_is_a_contestant_and_leaves_the_ring_again(endpoint: EngineEndpoint, engine: Engine) -> None:
    make_adapter(engine.folder / "odd", seed=5)
    assert "contestant is 'odd'" in run("load", "odd")
    assert run("list").split() == ["odd"] and in_the_ring() == {"Tiny", "odd"}
    told = registry.current_revision(Contestant.objects.get(slug="odd")).told()
    assert (told["model"], told["adapter_id"], told["context_length"], told["max_tokens"]) == (
        "tiny-llama",
        "odd",
        400,
        50,
    )
    said = replies()
    assert len(set(said)) == 2 and "rejected" not in said, "the base model and the adapter answer, differently"
    run("unload", "odd")
    assert run("list") == "" and in_the_ring() == {"Tiny"}
    assert Contestant.objects.filter(slug="odd").exists()
    run("unload", "odd")  # twice is no error
    run("load", "odd")
    assert in_the_ring() == {"Tiny", "odd"} and Contestant.objects.count() == 2
    run("unload", "odd")
    assert "rejected" in replies(), "the engine has forgotten it"


def test_another_folder_and_replacing(endpoint: EngineEndpoint, engine: Engine) -> None:
    make_adapter(engine.folder / "v1", seed=1)
    make_adapter(engine.folder / "v2", seed=2)
    run("load", "style", "--folder", "v1")
    with pytest.raises(CommandError, match="already been loaded"):
        run("load", "style", "--folder", "v2")
    run("load", "style", "--folder", "v2", "--replace")
    assert Adapter.objects.get().name == "style" and Contestant.objects.count() == 2
    run("unload", "style")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent", "does not exist"),
        ("broken", "rank r = 999"),
        ("../outside", "slug"),
        ("Tiny", "already exists"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line_and_leaves_no_rows(
    endpoint: EngineEndpoint, engine: Engine, name: str, says: str
) -> None:
    make_adapter(engine.folder / "broken", seed=1, r=999)
    make_adapter(engine.folder / "Tiny", seed=1)
    with pytest.raises(CommandError, match=says):
        run("load", name)
    assert run("list") == ""
    assert not Adapter.objects.exists() and Contestant.objects.count() == Deployment.objects.count() == 1


def test_endpoints_that_cannot_be_asked(endpoint: EngineEndpoint, engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no endpoint 'nowhere'"):
        call_command("adapter", "list", "--endpoint", "nowhere")
    Adapter.objects.create(name="other", base_model="another-model")
    with pytest.raises(CommandError, match="an adapter of another-model; gpu serves tiny-llama"):
        run("load", "other")
    EngineEndpoint.objects.update(base_url=f"unix://{tmp_path / 'gone'}")
    with pytest.raises(CommandError, match="gpu: no answer"):
        run("list")
    Deployment.objects.all().delete()
    with pytest.raises(CommandError, match="exactly one enabled deployment of a base model"):
        run("list")


def test_the_admin_loads_and_unloads_and_leaves_its_trail(endpoint: EngineEndpoint, engine: Engine) -> None:
    make_adapter(engine.folder / "shown", seed=3)
    Adapter.objects.create(name="shown", base_model="tiny-llama", path=str(engine.folder / "shown"))
    Adapter.objects.create(name="missing", base_model="tiny-llama")
    Adapter.objects.create(name="elsewhere", base_model="another-model")
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))

    def act(verb: str) -> str:
        chosen = {"action": verb, "_selected_action": ["shown", "missing", "elsewhere"]}
        return client.post(reverse("admin:inference_adapter_changelist"), chosen, follow=True).content.decode()

    page = act("load")
    import re

    print(re.findall("<li class.*?</li>", page, re.S))
    assert "Shown is loaded on gpu." in page and "no enabled endpoint serves another-model" in page
    assert "Missing, gpu:" in page and "does not exist" in page
    assert run("list").split() == ["shown"] and in_the_ring() == {"Tiny", "shown"}
    assert "Shown is gone from gpu." in act("unload")
    assert run("list") == "" and in_the_ring() == {"Tiny"}
    trail = AuditEntry.objects.filter(kind="inference.adapter", subject="shown").order_by("created_at", "id")
    assert [(entry.action, entry.after) for entry in trail] == [
        ("load", {"endpoint": "gpu"}),
        ("unload", {"endpoint": "gpu"}),
    ]


def test_a_key_is_never_in_what_the_command_says(endpoint: EngineEndpoint) -> None:
    endpoint.set_key("a-wrong-key-of-the-tests")
    endpoint.save()
    with pytest.raises(CommandError, match="API key") as failed:
        run("list")
    assert "a-wrong-key" not in str(failed.value)
