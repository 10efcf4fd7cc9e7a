"""No request fills the disk: bodies are bounded before Django reads them."""

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from arena.asgi import LARGER, application

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]
MOST = LARGER * settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def request(*headers: tuple[bytes, bytes], path: str = "/battles/") -> ApplicationCommunicator:
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    return ApplicationCommunicator(
        application, scope | {"headers": [(b"host", b"localhost"), *headers], "server": ("localhost", 80)}
    )


async def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    sender = request((b"content-length", str(MOST + 1).encode()))
    assert (await sender.receive_output(timeout=5))["status"] == 413
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


@pytest.mark.parametrize("path", ["/battles/", "/no-such-page"])
async def test_a_body_that_grows_too_large_is_read_no_further(path: str) -> None:
    sender = request((b"content-type", b"multipart/form-data; boundary=x"), path=path)
    for _ in range(LARGER + 1):
        await sender.send_input(
            {"type": "http.request", "body": b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE, "more_body": True}
        )
    assert (await sender.receive_output(timeout=5))["status"] == 413
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


async def test_an_ordinary_form_passes() -> None:
    sender = request((b"content-length", b"1"), path="/no-such-page")
    await sender.send_input({"type": "http.request", "body": b"x"})
    assert (await sender.receive_output(timeout=5))["status"] in (403, 404)
    await sender.receive_output(timeout=5)
    await sender.wait(timeout=5)


async def test_a_body_that_trickles_is_given_up(settings: object) -> None:
    settings.WEB_BODY_S = 0.3
    sender = request((b"content-length", b"100"))
    await sender.send_input({"type": "http.request", "body": b"x", "more_body": True})
    start = await sender.receive_output(timeout=5)
    assert start["status"] == 408
    assert b"did not come in time" in (await sender.receive_output(timeout=5))["body"]
    await sender.wait(timeout=5)
