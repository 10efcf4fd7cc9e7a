"""Processes that share a port: one is replaced when it dies, all go when they are told to or when their parent is killed."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from arena import prefork
from tests.stack import free_port

PATIENCE_S = 30.0
FAMILY = """
import os, sys, time
from arena import prefork
prefork.YOUNG_S = {young}
def run():
    os.write(1, b"born %d\\n" % os.getpid())
    {body}
sys.exit(prefork.serve({count}, run))
"""


@contextmanager
def family(body: str, count: int = 2, young: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    code = FAMILY.format(body=body, count=count, young=young)
    parent = subprocess.Popen(
        [sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield parent
    finally:
        for process in (
            [*psutil.Process(parent.pid).children(), psutil.Process(parent.pid)] if parent.poll() is None else []
        ):
            process.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()


def born(parent: subprocess.Popen[str]) -> int:
    """The process id of the next child."""
    assert parent.stdout is not None
    word, pid = parent.stdout.readline().split()
    assert word == "born"
    return int(pid)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_that_dies_is_replaced() -> None:
    with family("time.sleep(60)") as parent:
        first, second = born(parent), born(parent)
        os.kill(first, signal.SIGKILL)
        third = born(parent)
        assert {child.pid for child in psutil.Process(parent.pid).children()} == {second, third}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_stop_when_the_parent_is_told_to(number: signal.Signals) -> None:
    with family("time.sleep(60)") as parent:
        children = [born(parent), born(parent)]
        parent.send_signal(number)
        assert parent.wait(PATIENCE_S) == 0
        assert all(gone(child) for child in children)


def test_a_stop_waits_for_what_the_children_have_to_end() -> None:
    body = "import signal; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(.3), os._exit(0))); time.sleep(60)"
    with family(body) as parent:
        children = [born(parent), born(parent)]
        time.sleep(0.2)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(PATIENCE_S) == 0
        assert all(gone(child) for child in children)


def test_children_leave_with_a_parent_that_is_killed() -> None:
    with family("time.sleep(60)") as parent:
        children = [born(parent), born(parent)]
        parent.kill()
        parent.wait()
        assert parent.stdout is not None
        parent.stdout.close()
        eventually(lambda: all(gone(child) for child in children))


@pytest.mark.parametrize(
    ("body", "status"), [("sys.exit(3)", 3), ("raise ValueError('no site')", 1), ("os._exit(7)", 7)]
)
def test_a_site_that_cannot_start_ends_with_its_status(body: str, status: int) -> None:
    with family(body, young=60.0) as parent:
        assert parent.wait(PATIENCE_S) == status


def test_the_site_is_served_by_two_processes_and_survives_one_of_them() -> None:
    port = free_port()
    env = os.environ | {
        "AGON_WEB_PROCESSES": "2",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    site = subprocess.Popen(
        [sys.executable, "-m", "arena.serve", "--port", str(port)], env=env, stderr=subprocess.DEVNULL
    )

    def healthy() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    try:
        eventually(healthy)
        children = psutil.Process(site.pid).children()
        assert len(children) == 2
        time.sleep(prefork.YOUNG_S + 0.2)  # by now a death is an accident
        children[0].kill()
        eventually(lambda: len([c for c in psutil.Process(site.pid).children() if c.pid != children[0].pid]) == 2)
        assert healthy()
        site.send_signal(signal.SIGTERM)
        assert site.wait(PATIENCE_S) == 0
    finally:
        site.kill()
        site.wait()
