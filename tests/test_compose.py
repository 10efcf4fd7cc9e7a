"""compose.yaml and the Dockerfile: the Compose Specification's own schema, the process table's own commands, and what an operator
relies on. No container runtime is needed: docs/operating.md says what that leaves unchecked."""

import hashlib
import json
import re
import shlex
from math import ceil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.conf import settings
from django.core.management import call_command

from arena import processes
from arena.embedded import valkey
from arena.management.commands.processes import services
from arena.supervisor.state import MARK

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "tests" / "vendor"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["engine", "web", "worker-generate", "worker-batch", "worker-long", "beat"]
APPS = [name for name in (*OURS, "prepare") if name != "engine"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(autouse=True)
def no_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AGON_ENGINE_MODEL",
        "AGON_ENGINE_ADAPTERS",
        "AGON_ENGINE_FLAGS",
        "AGON_DRAIN_S",
        "AGON_VALKEY_MAXMEMORY",
    ):
        monkeypatch.delenv(name, raising=False)


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_the_schema_is_the_published_one() -> None:
    pins = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    for name, digest in pins.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    assert "./compose/compose-spec.json" in pins


def test_the_procfile_has_the_same_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever runs the processes by other means: every line can be given to a shell."""
    call_command("processes")
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    for row in processes.table(processes.Layout()):
        words = shlex.split(lines.pop(row.name))
        assert tuple(words[-len(row.argv) :]) == row.argv
        assert words[0] == "env" and {f"{k}={v}" for k, v in row.env.items() if k != MARK} <= set(words)
    assert lines == {}


def test_it_is_valid_by_the_compose_specification() -> None:
    schema = json.loads((VENDOR / "compose" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    spoilt = json.loads(json.dumps(COMPOSE))
    spoilt["services"]["web"]["stop_grace_perod"] = "5s"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(spoilt)


def test_its_services_are_the_process_table() -> None:
    assert [row.name for row in processes.ours(processes.Layout.containers())] == OURS
    assert set(SERVICES) == {*OURS, "prepare", "models", "postgres", "valkey"}
    assert [row.name for row in processes.table(processes.Layout())][2:] == OURS


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_the_table_s(name: str) -> None:
    """`manage.py processes --format compose` prints what belongs here."""
    expected, service = services()[name], SERVICES[name]
    assert service["command"] == expected["command"]
    assert expected["environment"].items() <= service["environment"].items()
    assert service["stop_signal"] == expected["stop_signal"]


@pytest.mark.parametrize("name", OURS)
def test_a_container_differs_from_one_machine_in_addresses_only(name: str) -> None:
    here = {row.name: row for row in processes.table(processes.Layout())}[name]
    flags = {"--host", "--port", "--uds", "--key-file", "--model", "--adapters-dir"}
    assert bare(SERVICES[name]["command"][1:], flags) == bare(list(here.argv[1:]), flags)
    own = {key: value for key, value in here.env.items() if key not in (MARK, "AGON_READY_FILE")}
    assert own.items() <= SERVICES[name]["environment"].items()


def bare(argv: list[str], flags: set[str]) -> list[str]:
    """Without these options and their values."""
    kept, skip = [], False
    for part in argv:
        if not skip and part not in flags:
            kept.append(part)
        skip = part in flags
    return kept


@pytest.mark.parametrize("name", OURS)
def test_nothing_is_killed_while_it_drains(name: str) -> None:
    row = {row.name: row for row in processes.ours(processes.Layout.containers())}[name]
    assert seconds(SERVICES[name]["stop_grace_period"]) >= ceil(row.stop_timeout_s)
    if name in ("engine", "worker-generate"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > 20, "AGON_DRAIN_S"


@pytest.mark.parametrize("name", [*OURS, "postgres", "valkey"])
def test_each_service_is_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["healthcheck"]["retries"] >= 3
    if mark := service.get("environment", {}).get("AGON_READY_FILE"):
        assert service["healthcheck"]["test"][-1] == mark


@pytest.mark.parametrize("name", list(SERVICES))
def test_each_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert str(service["user"]).split(":")[0] not in ("0", "root")
    assert "privileged" not in service and "cap_add" not in service
    assert all(place.split(":")[0].startswith(("/tmp", "/var/run/")) for place in service["tmpfs"])


def test_only_the_web_port_is_published_and_only_on_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"web"}
    assert SERVICES["web"]["ports"] == ["127.0.0.1:${AGON_PORT:-8000}:8000"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("engine", "postgres", "valkey"):
        assert SERVICES[name]["networks"] == ["back"]


def test_the_trusted_proxy_is_this_host_on_the_front_network() -> None:
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert SERVICES["web"]["environment"]["AGON_TRUSTED_PROXIES"] == f"${{AGON_TRUSTED_PROXIES:-{network['gateway']}}}"


@pytest.mark.parametrize("name", APPS)
def test_our_services_wait_for_migrations_and_servers(name: str) -> None:
    waits = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
    assert waits["postgres"] == waits["valkey"] == "service_healthy"
    assert name == "prepare" or waits["prepare"] == "service_completed_successfully"


def test_migrations_and_static_files_run_once() -> None:
    prepare = SERVICES["prepare"]
    assert prepare["command"] == ["python", "manage.py", "prepare"]
    assert prepare["restart"] == "no"
    assert "static:/srv/agon/var/static" in prepare["volumes"], "the only one that writes them"
    assert all("static:/srv/agon/var/static:ro" in SERVICES[name]["volumes"] for name in APPS if name != "prepare")


def test_the_demo_model_has_a_way_in() -> None:
    """The engine itself reads models and reaches nobody; a service that runs by hand fetches them."""
    models, engine = SERVICES["models"], SERVICES["engine"]
    assert models["image"] == engine["image"] and models["profiles"] == ["models"] and models["restart"] == "no"
    assert models["command"] == ["python", "-m", "inference.demo.install"]
    assert models["networks"] == ["front"] and engine["networks"] == ["back"]
    assert engine["volumes"] == [f"{models['volumes'][0]}:ro"]
    assert models["environment"]["AGON_MODELS_DIR"] == models["volumes"][0].split(":")[1]


def test_data_outlives_its_container() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])
    assert {"postgres", "valkey", "media", "models", "static"} == mounted
    made = re.search(r"install -d .* 0750 (.+)", DOCKERFILE)
    assert made
    for name in mounted - {"postgres", "valkey"}:
        assert f"var/{name}" in made[1].split(), f"{name} would belong to root"


SECRET = re.compile(r"KEY|PASSWORD|SECRET|TOKEN")


def test_secrets_come_from_files() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {variable}"
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    assert all(source["file"].startswith("./secrets/") for source in COMPOSE["secrets"].values())
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_secret_that_production_needs_is_given() -> None:
    needed = re.findall(r'secret\("(AGON_\w+)"\)', (ROOT / "arena" / "settings.py").read_text())
    assert len(needed) >= 3
    for name in needed:
        assert COMPOSE["x-environment"][f"{name}_FILE"].startswith("/run/secrets/")


def test_releases_lie_on_a_volume() -> None:
    assert settings.RELEASES_DIR.is_relative_to(settings.VAR / "media")
    assert all("media:/srv/agon/var/media" in SERVICES[name]["volumes"][0] for name in APPS if name != "prepare")


def test_no_url_holds_a_password() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert not re.search(r"://[^/\s@]*:[^/\s@]+@", text)


def test_valkey_keeps_the_same_promises_as_the_embedded_one() -> None:
    words = shlex.split(SERVICES["valkey"]["command"][2].replace("$$", "$"))
    told = {words[i].removeprefix("--"): words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    assert valkey.policy().items() <= told.items()


def test_the_image_s_own_command_is_the_web_process() -> None:
    command = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert command and json.loads(command[1]) == SERVICES["web"]["command"]


def test_images_hold_no_tests_data_or_secrets() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "everything is left out that is not listed"
    listed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert not listed & {"tests", "var", "secrets", ".git", "."}
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)
    assert {source for source in copied if source != "."} <= listed
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["agon", "agon"], "both images end as an ordinary user"


def test_the_images_install_what_this_repository_locks() -> None:
    torch = re.search(r"^TORCH := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert torch and f"ARG TORCH={torch[1]}" in DOCKERFILE
    assert DOCKERFILE.count("--require-hashes") == 2
    assert f"WORKDIR {processes.IN_CONTAINERS}" in DOCKERFILE
