"""Bring a Llama-family model in Hugging Face format into the models folder, whole or not at all. No torch, no Django.

From the hub: configuration first, so that a model which the engine cannot run is refused before its gigabytes are loaded;
then safetensors and tokenizer only (never pickles or code), resumable; checked, then renamed into place. From a local
directory: the same files, hard-linked where the file system can.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

PATTERNS = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "LICENSE*",
)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
SPARE_BYTES = 200_000_000
TIMEOUT_S = 15.0


class FetchError(RuntimeError):
    """The model is not there; the message is one line that says why and what to do."""


def default_name(source: str) -> str:
    """A folder name for a hub id or a directory: its last part, in lower case."""
    return re.sub(r"[^a-z0-9._-]+", "-", Path(source).name.lower()).strip("-._")


def fetch(source: str, models_dir: Path, name: str = "", revision: str = "main") -> Path:
    """The model's folder below `models_dir`, fetched from the hub or from a local directory. Raises FetchError."""
    name = name or default_name(source)
    if not NAME.fullmatch(name):
        raise FetchError(f"{name!r} cannot be a folder's name: give --name with letters, digits, '-', '_' and '.'")
    dest = models_dir / name
    if dest.exists():
        check(dest)
        return dest
    partial = models_dir / f".fetch-{name}"
    partial.mkdir(parents=True, exist_ok=True)
    directory = Path(source).expanduser()
    if directory.is_dir():
        _from_directory(directory, partial)
    elif HUB_ID.fullmatch(source):
        _from_hub(source, revision, partial)
    else:
        raise FetchError(f"{source} is neither a directory nor a hub id like owner/model")
    check(partial)
    shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub client's notes for resuming
    partial.rename(dest)
    return dest


# --- checks -----------------------------------------------------------------------------------------------------------


def check(path: Path) -> None:
    """Raises FetchError unless `path` holds everything that the engine needs, in a form that it runs."""
    check_config(read_json(path / "config.json"))
    shards = sorted(path.glob("*.safetensors"))
    index = path / "model.safetensors.index.json"
    wanted = set(read_json(index)["weight_map"].values()) if index.exists() else {shard.name for shard in shards}
    missing = sorted(wanted - {shard.name for shard in shards})
    if missing or not shards:
        raise FetchError(
            f"{path} has no {missing[0] if missing else '*.safetensors'}: the engine reads safetensors only"
        )
    if not (path / "tokenizer.json").is_file():
        raise FetchError(f"{path} has no tokenizer.json: the engine reads only the fast tokenizer's format")
    settings = path / "tokenizer_config.json"
    templated = settings.exists() and read_json(settings).get("chat_template")
    if not templated and not (path / "chat_template.jinja").is_file():
        raise FetchError(f"{path} has no chat template: take the model's -Instruct or -Chat version")


def check_config(config: dict[str, Any]) -> None:
    """Raises FetchError for what the engine refuses too (`inference.engine.weights`), before the weights are loaded."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    refusals = {
        f"model_type {config.get('model_type')!r}": config.get("model_type") != "llama",
        f"hidden_act {config.get('hidden_act')!r}": config.get("hidden_act", "silu") != "silu",
        "attention_bias": config.get("attention_bias"),
        "mlp_bias": config.get("mlp_bias"),
        "quantization_config (packed weights)": config.get("quantization_config"),
        "pretraining_tp other than 1": config.get("pretraining_tp", 1) != 1,
        f"rope scaling {kind!r}": kind not in ("default", "linear", "llama3"),
    }
    for what, refused in refusals.items():
        if refused:
            raise FetchError(
                f"{what} is not supported: Agon's engine runs plain Llama-family models; "
                "serve this one with vLLM, llama.cpp or Ollama and add it as an endpoint in the admin"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises FetchError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FetchError(f"{path} does not exist: a model needs {path.name}") from None
    except ValueError:
        raise FetchError(f"{path} is not JSON") from None
    if not isinstance(value, dict):
        raise FetchError(f"{path} holds no JSON object")
    return value


# --- sources ----------------------------------------------------------------------------------------------------------


def _from_directory(source: Path, partial: Path) -> None:
    check(source)
    for file in source.iterdir():
        if not (file.is_file() and is_wanted(file.name)):
            continue
        target = partial / file.name
        target.unlink(missing_ok=True)
        try:
            if file.suffix == ".safetensors":
                os.link(file.resolve(), target)
                continue
        except OSError:
            pass  # another file system: copy
        shutil.copyfile(file, target)


def is_wanted(name: str) -> bool:
    """Whether a file of a repository, by its path there, is part of the model for us."""
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in PATTERNS)


def _from_hub(repo: str, revision: str, partial: Path) -> None:
    try:
        from huggingface_hub import errors
    except ImportError:
        raise FetchError("huggingface_hub is not installed: run `make install`, or give a directory's path") from None
    try:
        _download(repo, revision, partial)
    except errors.GatedRepoError:
        raise FetchError(f"{repo} wants its terms accepted: do so on the hub and set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise FetchError(f"{repo} has no revision {revision!r}") from None
    except errors.RepositoryNotFoundError:
        raise FetchError(f"the hub has no model {repo}, or it is private: check the id, or set HF_TOKEN") from None
    except errors.RemoteEntryNotFoundError:
        raise FetchError(f"{repo} has no config.json: it is not in Hugging Face format") from None
    except _broken_off(errors) as error:
        if isinstance(error, FetchError):
            raise
        raise FetchError(
            f"the hub cannot be reached or broke off ({type(error).__name__}): run the same command again, it goes on "
            "where it stopped, or give the path of a directory that holds the model"
        ) from None


def _broken_off(errors: Any) -> tuple[type[Exception], ...]:
    """What is raised when the transport fails: by the system, by the hub's HTTP library, by its storage client."""
    return OSError, RuntimeError, errors.HTTPError, getattr(errors, "XetDownloadError", OSError)


def _download(repo: str, revision: str, partial: Path) -> None:
    """The wanted files of one commit into `partial`, configuration first. What is there already is not loaded again."""
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    commit = info.sha or revision
    hf_hub_download(repo, "config.json", revision=commit, local_dir=partial, etag_timeout=TIMEOUT_S)
    check_config(read_json(partial / "config.json"))
    wanted = [file for file in info.siblings or [] if is_wanted(file.rfilename)]
    _check_room(sum(file.size or 0 for file in wanted), partial)
    for file in wanted:
        hf_hub_download(repo, file.rfilename, revision=commit, local_dir=partial, etag_timeout=TIMEOUT_S)


def _check_room(needed: int, partial: Path) -> None:
    """Raises FetchError when `needed` bytes, less what is there already, will not fit on the disk."""
    have = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    free = shutil.disk_usage(partial).free
    if needed - have + SPARE_BYTES > free:
        raise FetchError(f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free below {partial.parent}")
