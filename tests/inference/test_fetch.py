"""Fetching a model: from a directory, from a hub (a small one of our own), and every way to fail with one clear line."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from inference.engine.weights import ModelError, read_config
from inference.fetch import FetchError, check_config, default_name, fetch
from tests.inference.engine import tiny
from tests.inference.engine.tiny_text import make_text

PROJECT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tiny model's directory, with things beside it that must not come along."""
    import numpy as np

    path = make_text(tmp_path / "source" / "Tiny-Llama-Instruct")
    (path / "config.json").write_text(json.dumps(tiny.CONFIG))
    save_file({"model.norm.weight": np.ones(64, dtype=np.float32)}, str(path / "model.safetensors"))
    (path / "LICENSE").write_text("Apache-2.0")
    (path / "pytorch_model.bin").write_bytes(b"pickle")
    (path / "modeling_evil.py").write_text("raise SystemExit")
    (path / "onnx").mkdir()
    (path / "onnx" / "model.safetensors").write_bytes(b"x")
    return path


WANTED = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "LICENSE",
}


def test_a_directory_is_brought_in_whole(source: Path, tmp_path: Path) -> None:
    path = fetch(str(source), tmp_path / "models")
    assert path == tmp_path / "models" / "tiny-llama-instruct"
    assert {file.name for file in path.iterdir()} == WANTED
    assert (path / "model.safetensors").samefile(source / "model.safetensors"), "weights are linked, not copied"
    assert not (path / "config.json").samefile(source / "config.json")
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == [path.name]


def test_a_second_fetch_finds_it(source: Path, tmp_path: Path) -> None:
    first = fetch(str(source), tmp_path / "models")
    assert fetch(str(source), tmp_path / "models") == first
    assert fetch("someone/Tiny-Llama-Instruct", tmp_path / "models") == first, "no network needed"
    assert fetch(str(first), tmp_path / "models") == first


def test_an_interrupted_fetch_goes_on(source: Path, tmp_path: Path) -> None:
    partial = tmp_path / "models" / ".fetch-tiny"
    partial.mkdir(parents=True)
    (partial / "config.json").write_text("{half")
    assert {file.name for file in fetch(str(source), tmp_path / "models", "tiny").iterdir()} == WANTED


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda p: (p / "config.json").unlink(), "config.json"),
        (lambda p: (p / "config.json").write_text("{"), "not JSON"),
        (lambda p: (p / "config.json").write_text('{"model_type": "qwen2"}'), "qwen2.*vLLM"),
        (lambda p: (p / "model.safetensors").unlink(), "safetensors only"),
        (lambda p: (p / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda p: (p / "chat_template.jinja").unlink(), "no chat template"),
        (
            lambda p: (p / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}'),
            "model-2.safetensors",
        ),
    ],
)
def test_an_incomplete_model_is_refused_and_nothing_stays(source: Path, tmp_path: Path, break_it, words: str) -> None:
    break_it(source)
    with pytest.raises(FetchError, match=words) as refused:
        fetch(str(source), tmp_path / "models", "tiny")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models" / "tiny").exists()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"model_type": "mistral"},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"quantization_config": {"bits": 4}},
        {"pretraining_tp": 2},
        {"rope_scaling": {"type": "yarn", "factor": 2.0}},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
    ],
)
def test_the_engine_refuses_the_same(tmp_path: Path, change: dict) -> None:
    config = tiny.CONFIG | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused = []
    for check in (lambda: check_config(config), lambda: read_config(tmp_path)):
        try:
            check()
            refused.append(False)
        except (FetchError, ModelError):
            refused.append(True)
    assert refused[0] == refused[1]


@pytest.mark.parametrize(
    ("source", "name"),
    [("Owner/Llama-3.2_1B Instruct", "llama-3.2_1b-instruct"), ("/a/b/Model.v2/", "model.v2"), ("x/-._", "")],
)
def test_default_names(source: str, name: str) -> None:
    assert default_name(source) == name


@pytest.mark.parametrize(("source", "name"), [("nonsense", ""), ("a/b/c", ""), ("owner/model", "../up"), ("x/-._", "")])
def test_what_is_no_id_or_name_is_refused(tmp_path: Path, source: str, name: str) -> None:
    with pytest.raises(FetchError):
        fetch(source, tmp_path, name)
    assert not list(tmp_path.parent.glob("up"))


def test_fetching_needs_no_torch_and_no_django() -> None:
    code = "import sys, inference.fetch; print([m for m in ('torch', 'django', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stdout.strip() == "[]"


# --- a hub of our own ---------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's HTTP as a download needs, for the model someone/tiny."""

    root: Path
    asked: list[str]
    break_after: int = 0

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/api/models/someone/tiny"):
            return self.send_json(self.listing())
        prefix = f"/someone/tiny/resolve/{COMMIT}/"
        file = self.root / self.path.removeprefix(prefix)
        if self.path.startswith(prefix) and file.is_file():
            return self.send_file(file.read_bytes(), body)
        code = "EntryNotFound" if self.path.startswith(prefix) else "RepoNotFound"
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def listing(self) -> dict:
        files = [file for file in self.root.rglob("*") if file.is_file()]
        siblings = [{"rfilename": str(file.relative_to(self.root)), "size": file.stat().st_size} for file in files]
        return {"id": "someone/tiny", "modelId": "someone/tiny", "sha": COMMIT, "siblings": siblings, "tags": []}

    def send_json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_file(self, data: bytes, body: bool) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            self.wfile.write(data[start:])

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def hub(source: Path) -> Iterator[type[Hub]]:
    handler = type("OneHub", (Hub,), {"root": source, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield handler
    server.shutdown()
    server.server_close()


def fetch_from(url: str, models: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the hub's client reads its address when it is imported."""
    code = (
        "import sys; from pathlib import Path; from inference.fetch import fetch, FetchError\n"
        "try: print(fetch(sys.argv[2], Path(sys.argv[1]), *sys.argv[3:]))\n"
        "except FetchError as error: sys.exit(f'error: {error}')"
    )
    env = os.environ | {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(models.parent / "hf")}
    return subprocess.run(
        [sys.executable, "-c", code, str(models), *args],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=env,
        timeout=60,
    )


def test_the_hub_gives_the_wanted_files_only(hub: type[Hub], tmp_path: Path) -> None:
    done = fetch_from(hub.url, tmp_path / "models", "someone/tiny")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "models" / "tiny"
    assert {file.name for file in path.iterdir()} == WANTED
    assert (path / "model.safetensors").read_bytes() == (hub.root / "model.safetensors").read_bytes()
    assert not [line for line in hub.asked if "pytorch_model" in line or "evil" in line or "onnx" in line]


def test_what_cannot_run_is_refused_before_its_weights_are_loaded(hub: type[Hub], tmp_path: Path) -> None:
    (hub.root / "config.json").write_text('{"model_type": "gpt2"}')
    done = fetch_from(hub.url, tmp_path / "models", "someone/tiny")
    assert "gpt2" in done.stderr
    assert not [line for line in hub.asked if "safetensors" in line]
    assert not (tmp_path / "models" / "tiny").exists()


@pytest.mark.parametrize(("repo", "words"), [("nobody/nothing", "the hub has no model nobody/nothing")])
def test_what_the_hub_does_not_have_is_said(hub: type[Hub], tmp_path: Path, repo: str, words: str) -> None:
    done = fetch_from(hub.url, tmp_path / "models", repo)
    assert done.returncode == 1
    assert words in done.stderr


def test_a_broken_download_goes_on_where_it_stopped(hub: type[Hub], tmp_path: Path) -> None:
    weights = hub.root / "model.safetensors"
    aside = tmp_path / "aside"
    weights.rename(aside)
    weights.mkdir()  # listed, but it cannot be had
    hub.listing = lambda self: (
        Hub.listing(self) | {"siblings": [{"rfilename": name, "size": 1} for name in sorted(WANTED)]}
    )
    assert fetch_from(hub.url, tmp_path / "models", "someone/tiny").returncode == 1
    assert not (tmp_path / "models" / "tiny").exists()
    weights.rmdir()
    aside.rename(weights)
    hub.asked.clear()
    assert fetch_from(hub.url, tmp_path / "models", "someone/tiny").returncode == 0
    assert [line for line in hub.asked if line.startswith("GET /someone")] == [
        f"GET /someone/tiny/resolve/{COMMIT}/{name}"
        for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    ]


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    done = fetch_from("http://127.0.0.1:9", tmp_path / "models", "someone/tiny")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the hub cannot be reached")
    assert "path of a directory" in last
