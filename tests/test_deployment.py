"""What the images do, without images: the Dockerfile's and compose.yaml's own commands, run here with production settings."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings

from arena.embedded import binaries
from arena.env import with_password
from tests import databases
from tests.stack import free_port
from tests.test_compose import DOCKERFILE, ROOT, SERVICES

HOST = "arena.example.org"
FORWARDED = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def environment(django_db_setup: None, django_db_blocker: object, tmp_path_factory: object) -> Iterator[dict[str, str]]:
    """compose.yaml's environment of `web`, with this machine's servers in place of the named ones."""
    folder = tmp_path_factory.mktemp("deployed")
    secrets = folder / "secrets"
    secrets.mkdir()
    env = {name: str(value) for name, value in SERVICES["web"]["environment"].items()}
    for name, value in env.items():
        if name.endswith("_FILE"):
            env[name] = str(secrets / Path(value).name)
            Path(env[name]).write_text(f"{Path(value).name}-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ\n")
    env |= dict(re.findall(r"(\w+)=(\S+)", re.search(r"ENV (PATH=(?:.*\\\n)*.*)", DOCKERFILE)[1]))
    env |= {"AGON_ALLOWED_HOSTS": HOST, "AGON_SITE_URL": f"https://{HOST}", "AGON_TRUSTED_PROXIES": "127.0.0.1"}
    env |= {"AGON_VAR": str(folder / "var"), "REDIS_URL": settings.REDIS_URL, "PATH": os.environ["PATH"]}
    with django_db_blocker.unblock(), databases.fresh("agon_deployed") as url:
        yield env | {"DATABASE_URL": url}


def run(environment: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable if part == "python" else part for part in argv]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def prepared(environment: dict[str, str]) -> dict[str, str]:
    done = run(environment, *SERVICES["prepare"]["command"])
    assert done.returncode == 0, done.stderr
    assert "migrations applied" in done.stdout and not done.stdout.startswith("0 ")
    return environment


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[int]:
    """The web service's command on a free port."""
    port = free_port()
    argv = [str(port) if part == "8000" else part for part in SERVICES["web"]["command"]]
    argv = ["127.0.0.1" if part == "0.0.0.0" else part for part in argv]
    with subprocess.Popen([sys.executable, *argv[1:]], cwd=ROOT, env=environment) as web:
        try:
            check = [
                part.replace("8000", str(port)) if part.startswith("http") else part
                for part in SERVICES["web"]["healthcheck"]["test"][1:]
            ]
            deadline = time.monotonic() + 60
            while run(environment, *check).returncode:
                assert web.poll() is None and time.monotonic() < deadline, "the health check never passed"
                time.sleep(0.2)
            yield port
        finally:
            web.terminate()
            web.wait(10)


def get(port: int, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=FORWARDED | headers)
        response = connection.getresponse()
        return response, response.read()


def test_the_site_serves_pages_and_hashed_static_files(prepared: dict[str, str]) -> None:
    with serving(prepared) as port:
        assert get(port, "/healthz")[0].status == 200
        page, body = get(port, "/leaderboard")
        assert page.status == 200, body
        assert "max-age=31536000" in page.getheader("Strict-Transport-Security")
        links = set(re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', body.decode()))
        assert links
        for link in links:
            assert re.search(r"\.[0-9a-f]{12}\.(css|js)$", link), "the manifest names each file by its content"
            answer, text = get(port, link, **{"Accept-Encoding": "gzip"})
            assert answer.status == 200 and text
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
            assert answer.getheader("Cache-Control") == "max-age=315360000, public, immutable"
            assert answer.getheader("Content-Encoding") == "gzip"
            assert "Accept-Encoding" in answer.getheader("Vary")
        assert get(port, "/static/css/no-such-file.css")[0].status == 404


def test_strangers_are_told_nothing(prepared: dict[str, str]) -> None:
    with serving(prepared) as port:
        assert get(port, "/", Host="other.example.com")[0].status == 400
        plain, _ = get(port, "/leaderboard", **{"X-Forwarded-Proto": "http"})
        assert (plain.status, plain.getheader("Location")) == (301, f"https://{HOST}/leaderboard")


def test_health_checks_need_neither_the_host_nor_tls(prepared: dict[str, str]) -> None:
    """Containers and monitors ask by address; nothing of it reaches the log as an error."""
    with serving(prepared) as port:
        for path, expected in (("/healthz", 200), ("/readyz", 503)):  # no worker runs here
            answer, _ = get(port, path, Host=f"127.0.0.1:{port}", **{"X-Forwarded-Proto": "http"})
            assert answer.status == expected
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/leaderboard")
            assert connection.getresponse().status == 400, "everything else does"


def test_preparing_again_changes_nothing(prepared: dict[str, str]) -> None:
    done = run(prepared, *SERVICES["prepare"]["command"])
    assert done.returncode == 0 and done.stdout.startswith("0 migrations applied")


def test_the_deployment_checks_pass_with_the_secrets_in_files(environment: dict[str, str]) -> None:
    done = run(environment, "python", "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_a_secret_s_missing_file_stops_the_start_with_one_line(environment: dict[str, str]) -> None:
    done = run(environment | {"AGON_SEAL_KEY_FILE": "/nowhere/seal_key"}, "python", "manage.py", "check")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith("AGON_SEAL_KEY_FILE=/nowhere/seal_key: No such file or directory")


def test_passwords_from_files_join_the_urls(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/w:rd\n")
    code = (
        "import json, django; from django.conf import settings as s; d = s.DATABASES['default'];"
        "print(json.dumps([d['USER'], d['PASSWORD'], d['HOST'], d['NAME'], s.REDIS_URL, s.CELERY_BROKER_URL]))"
    )
    env = environment | {name: SERVICES["web"]["environment"][name] for name in ("DATABASE_URL", "REDIS_URL")}
    for name in ("AGON_DATABASE_PASSWORD_FILE", "AGON_REDIS_PASSWORD_FILE"):
        env[name] = str(tmp_path / "password")
    told = json.loads(run(env, "python", "-c", code).stdout)
    assert told[:4] == ["agon", "p@ss/w:rd", "postgres", "agon"]
    assert told[4] == told[5] == "redis://:p%40ss%2Fw%3Ard@valkey:6379/0"


def test_valkey_s_command_asks_for_the_password(tmp_path: Path, servers: None) -> None:
    """The service's own shell line, with this machine's executable and folders."""
    secret, port = "v4lkey-pass/word", free_port()
    (tmp_path / "secret").write_text(secret)
    line = SERVICES["valkey"]["command"][2].replace("$$", "$").replace("/run/secrets/valkey_password", "$SECRET")
    line = line.replace("/tmp/password.conf", "$CONF").replace("--dir /data", f"--dir {tmp_path} --port {port}")
    line = line.replace("exec valkey-server", f"exec {binaries.valkey_server(None)}")
    env = {"PATH": os.defpath, "SECRET": str(tmp_path / "secret"), "CONF": str(tmp_path / "password.conf")}
    with subprocess.Popen(["sh", "-c", line], env=env, stdout=subprocess.DEVNULL) as server:
        try:
            with redis.Redis.from_url(with_password(f"redis://127.0.0.1:{port}/0", secret)) as client:
                wait_for(client)
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
            assert (tmp_path / "password.conf").stat().st_mode & 0o077 == 0
        finally:
            server.terminate()
            server.wait(10)


def wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    "line", re.findall(r"^RUN /venv/bin/(python -m pip install .*-r \S+)$", DOCKERFILE, re.MULTILINE)
)
def test_the_images_requirements_are_those_of_this_environment(line: str) -> None:
    """The Dockerfile's own pip commands find everything installed here already, without asking an index."""
    argv = line.replace("-r /requirements", "-r requirements").split()
    done = run(dict(os.environ), *argv, "--dry-run", "--no-index", "--disable-pip-version-check")
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout
