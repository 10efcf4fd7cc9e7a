"""`manage.py up`: says what it does, restarts what dies, and leaves nothing behind."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from arena.battle_check import Forms
from arena.embedded import paths
from tests.up import Up

pytestmark = pytest.mark.faults
LIGHT = ("--processes", "web,beat", "--no-demo")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="agon-up-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[Up]:
    """Everything, engine included, until the module's last test."""
    model = Path(os.environ.get("AGON_MODELS_DIR") or paths.PROJECT / "var" / "models") / "smollm2-135m-instruct"
    if not (model / "config.json").exists():
        pytest.fail(f"no demo model in {model}: run `make install`")
    with Up(folder / "whole") as up:
        up.wait_for(r"Ready in .*http")
        yield up


def browser() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()))


def healthy(up: Up, path: str = "/readyz") -> bool:
    """Ready within a few seconds: every process must have been heard of again, and an answer is remembered for one."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with browser().open(f"{up.url}{path}", timeout=10) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            time.sleep(0.3)
    return False


def test_the_address_comes_last_after_the_admin_link(whole: Up) -> None:
    printed = [line.strip() for line in whole.lines if line.startswith("  ")]
    assert printed[-1].endswith(f"{whole.url}/")
    assert printed[-1].startswith("Ready in ")
    assert f"{whole.url}/admin-login/" in printed[-2]
    assert healthy(whole)


def test_the_admin_link_works_once(whole: Up) -> None:
    link = re.search(r"http\S+/admin-login/\S+", "".join(whole.lines))
    assert link
    for _ in range(2):  # looking spends nothing
        visitor = browser()
        with visitor.open(link[0], timeout=10) as page:
            form = next(form for form in Forms(page.read().decode()).found if "csrfmiddlewaretoken" in form.fields)
    data = "&".join(f"{name}={value}" for name, value in form.fields.items()).encode()
    request = urllib.request.Request(link[0], data, {"Referer": link[0]})
    with visitor.open(request, timeout=10) as admin:
        assert admin.url == f"{whole.url}/admin/"
        assert "/admin/logout/" in admin.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="410"):
        visitor.open(urllib.request.Request(link[0], _token(visitor, link[0]), {"Referer": link[0]}), timeout=10)


def _token(visitor: urllib.request.OpenerDirector, url: str) -> bytes:
    with visitor.open(url, timeout=10) as page:
        form = next(form for form in Forms(page.read().decode()).found if "csrfmiddlewaretoken" in form.fields)
    return "&".join(f"{name}={value}" for name, value in form.fields.items()).encode()


def test_check_plays_a_battle_to_the_vote(whole: Up) -> None:
    """On the arena that runs; alone, `up --check` starts one, plays and stops it."""
    done = whole.run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vote: counted, both models revealed" in done.stdout
    assert done.stdout.strip().endswith("check: passed")


@pytest.mark.parametrize(
    "name", ["web", "worker-generate", "worker-batch", "worker-long", "beat", "engine", "valkey", "postgres"]
)
def test_what_is_killed_comes_back_and_is_said(whole: Up, name: str) -> None:
    whole.wait_for(rf"\| {name} is ready")
    before = whole.pids()[name]
    os.kill(before, signal.SIGKILL)
    whole.wait_for(rf"\| {name} was killed by SIGKILL; starting it again in 0.5 s")
    whole.wait_for(rf"\| {name} is ready again")
    assert whole.pids()[name] != before
    assert healthy(whole)


def test_a_second_up_says_what_runs(whole: Up) -> None:
    second = whole.run()
    assert second.returncode == 1
    assert f"Agon already runs: {whole.url}/" in second.stderr
    assert f"supervisor {whole.process.pid}" in second.stderr
    assert f"web {whole.pids()['web']}" in second.stderr
    assert "Traceback" not in second.stderr


def test_sigterm_drains_and_leaves_nothing(whole: Up) -> None:
    whole.process.send_signal(signal.SIGTERM)
    assert whole.process.wait(60) == 0
    whole.reader.join()
    assert "SIGTERM: draining" in "".join(whole.lines)
    assert "killed" not in "".join(whole.lines).partition("SIGTERM: draining")[2]
    assert whole.remains() == []
    assert not (whole.var / "run" / "up.json").exists()


def test_after_kill_9_of_the_supervisor_the_next_up_takes_over(folder: Path) -> None:
    with Up(folder / "light", *LIGHT) as first:
        first.wait_for(r"Ready in ")
        first.process.kill()
        first.process.wait()
        with Up(folder / "light", *LIGHT) as second:
            second.wait_for(r"Ready in ")
            assert healthy(second, "/healthz"), "without workers it is alive, not ready"
            second.process.send_signal(signal.SIGINT)
            assert second.process.wait(60) == 0
        assert second.remains() == []


def test_children_end_by_themselves_when_the_supervisor_is_killed(folder: Path) -> None:
    with Up(folder / "light", *LIGHT) as up:
        up.wait_for(r"Ready in ")
        up.process.kill()
        deadline = time.monotonic() + 20
        while up.remains() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert up.remains() == []


def test_a_taken_port_is_one_clear_line(folder: Path) -> None:
    up = Up(folder / "taken", *LIGHT)
    with socket.socket() as other:
        other.bind(("127.0.0.1", up.port))
        other.listen()
        done = up.run()
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        f"CommandError: 127.0.0.1:{up.port} is taken by another program: choose another port with AGON_PORT or --port"
    ]
    assert not (folder / "taken" / "postgres").exists()


def test_a_missing_model_says_what_to_do(folder: Path) -> None:
    done = Up(folder / "taken", env={"AGON_ENGINE_MODEL": "/nowhere/model"}).run()
    assert done.returncode == 1
    assert "no model in /nowhere/model: run `make install`" in done.stderr


def test_an_unknown_process_is_named(folder: Path) -> None:
    done = Up(folder / "taken", "--processes", "web,cobbler").run()
    assert "no such process: cobbler" in done.stderr


def test_a_check_that_fails_exits_1(folder: Path) -> None:
    done = Up(folder / "light", *LIGHT).run("--check")
    assert done.returncode == 1
    assert "check: FAILED" in done.stdout


def test_production_without_a_secret_refuses(folder: Path) -> None:
    done = Up(folder / "taken", *LIGHT, env={"AGON_ENV": "production", "AGON_SECRET_KEY": ""}).run()
    assert done.returncode == 1
    assert "AGON_SECRET_KEY is unset" in done.stderr


def test_the_engines_rows_follow_a_folder_that_moved_without_the_demo_too(folder: Path) -> None:
    """A restore on another machine, or a var/ elsewhere: else every battle asks a socket that is not there."""
    with Up(folder / "before", "--processes", "web,beat") as up:
        up.wait_for(r"Ready in ")
    (folder / "before").rename(folder / "after")
    ask = "from inference.models import EngineEndpoint; print(EngineEndpoint.objects.get().base_url)"
    with Up(folder / "after", *LIGHT) as up:
        up.wait_for(r"Ready in ")
        told = subprocess.check_output(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", ask],
            env=up.environment(),
            cwd=paths.PROJECT,
            text=True,
        )
    assert told.strip() == f"unix://{folder / 'after' / 'run' / 'engine.sock'}"


def test_fresh_asks_and_wipes(folder: Path) -> None:
    up = Up(folder / "light", *LIGHT)
    data = folder / "light" / "postgres" / "data"
    assert data.exists()
    refused = up.run("--fresh", input="no\n")
    assert refused.returncode == 1
    assert "nothing was wiped" in refused.stderr
    marker = data / "kept"
    subprocess.run(["touch", str(marker)], check=True)
    with Up(folder / "light", *LIGHT, "--fresh", "--yes") as fresh:
        fresh.wait_for(r"Ready in ")
        assert data.exists()
        assert not marker.exists()
