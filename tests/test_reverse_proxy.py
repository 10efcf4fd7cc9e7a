"""docs/deploy/: what the proxies' and systemd's files say agrees with the code, so that following them works."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.urls import reverse

from arena import addresses, asgi, processes
from arena.live.routing import websocket_urls
from arena.streams import sse
from tests.test_settings_reference import NAME, read_by_code

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "docs" / "deploy"
NGINX, CADDY = (DEPLOY / "nginx.conf").read_text(), (DEPLOY / "Caddyfile").read_text()
STREAM = f"/b/{uuid4()}/turns/12/stream"


def locations() -> dict[str, str]:
    """nginx's locations: what they match -> their lines."""
    return {match.strip(): body for match, body in re.findall(r"location ([^{]+)\{(.*?)\n    \}", NGINX, re.DOTALL)}


def seconds(name: str, text: str) -> float:
    return float(re.search(rf"{name} (\d+)s;", text)[1])


def stream_patterns() -> list[str]:
    return [re.search(r"location ~ (\S+) \{", NGINX)[1], re.search(r"@stream path_regexp (\S+)", CADDY)[1]]


@pytest.mark.parametrize("pattern", stream_patterns())
def test_the_stream_s_address_is_the_routed_one(pattern: str) -> None:
    route = asgi.http_routes[0].pattern
    assert asgi.http_routes[0].callback.__module__ == sse.__name__
    assert route.match(STREAM.removeprefix("/")) is not None
    assert re.search(pattern, STREAM)
    for other in (reverse("battle", args=[uuid4()]), reverse("send", args=[uuid4()]), f"{STREAM}/", f"/x{STREAM}"):
        assert not re.search(pattern, other), other


def test_nothing_holds_the_stream_back() -> None:
    stream = locations()[f"~ {stream_patterns()[0]}"]
    assert "proxy_buffering off;" in stream and "gzip off;" in stream
    assert "text/event-stream" not in re.search(r"gzip_types ([^;]+);", NGINX)[1]
    assert seconds("proxy_read_timeout", stream) >= 3 * settings.SSE_KEEPALIVE_S
    assert (b"x-accel-buffering", b"no") in sse.HEADERS, "nginx obeys it even where a file says otherwise"
    handle = CADDY.split("handle @stream {")[1].split("handle {")[0]
    assert "flush_interval -1" in handle and "encode" not in handle


def test_sockets_are_upgraded_where_they_are() -> None:
    for url in websocket_urls:
        assert f"/{url.pattern}".startswith("/live/")
    socket = locations()["/live/"]
    for line in (
        "Upgrade $http_upgrade;",
        "Connection $agon_connection;",
        "Host $host;",
        "X-Forwarded-For $remote_addr;",
    ):
        assert line in socket, "proxy_set_header in a location drops those of the server"
    assert seconds("proxy_read_timeout", socket) >= 3 * settings.LIVE_TICK_S


def test_the_headers_are_those_that_the_site_reads(rf: object, settings: object) -> None:
    for proxy in (NGINX, CADDY):
        assert "X-Forwarded-For" in proxy
    assert "X-Forwarded-For $remote_addr" in NGINX and "$proxy_add" not in NGINX
    assert "X-Forwarded-Proto $scheme" in NGINX
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert str(addresses.client_address(rf.get("/", HTTP_X_FORWARDED_FOR="203.0.113.9"))) == "203.0.113.9"
    assert (
        'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")' in (ROOT / "arena" / "settings.py").read_text()
    )


def test_the_body_s_limit_leaves_room_for_the_site_s_own_words() -> None:
    most = asgi.LARGER * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert int(re.search(r"client_max_body_size (\d+)m;", NGINX)[1]) * 1_000_000 >= most
    assert int(re.search(r"max_size (\d+)MB", CADDY)[1]) * 1_000_000 == most


def test_they_ask_the_port_that_the_site_has() -> None:
    port = processes.Layout().port
    assert f"server 127.0.0.1:{port};" in NGINX
    assert CADDY.count(f"reverse_proxy 127.0.0.1:{port}") == 2
    assert "listen 443 ssl http2;" in NGINX


def test_downloads_have_a_location_of_their_own() -> None:
    assert reverse("datasets").startswith("/datasets")
    assert "proxy_max_temp_file_size 0;" in locations()["/datasets/"]


def test_the_example_environment_names_real_variables_and_every_secret() -> None:
    lines = [line for line in (DEPLOY / "agon.env").read_text().splitlines() if line and not line.startswith("#")]
    names = {line.partition("=")[0] for line in lines}
    assert {NAME.match(name)[1] for name in names} <= read_by_code()
    needed = re.findall(r'secret\("(AGON_\w+)"\)', (ROOT / "arena" / "settings.py").read_text())
    assert {f"{name}_FILE" for name in needed} <= names
    assert not any("KEY=" in line or "TOKEN=" in line for line in lines), "secrets lie in files"


def test_the_unit_waits_for_the_drain() -> None:
    unit = (DEPLOY / "agon.service").read_text()
    patience = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    longest: dict[int, float] = {}
    for row in processes.ours(processes.Layout()):
        longest[row.stage] = max(longest.get(row.stage, 0), row.stop_timeout_s)
    assert patience > sum(longest.values()), "stages stop one after the other"
    assert "KillMode=mixed" in unit
    assert "manage.py up --no-demo" in unit


@pytest.mark.parametrize("name", ["agon.service", "agon-backup.service", "agon-backup.timer"])
def test_systemd_accepts_the_units(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for path in DEPLOY.glob("agon*.[st]*"):
        text = path.read_text().replace("/srv/agon/.venv/bin/python", "/bin/true").replace("User=agon", "User=root")
        (tmp_path / path.name).write_text(text.replace("Group=agon", "Group=root"))
    done = subprocess.run([analyze, "verify", str(tmp_path / name)], capture_output=True, text=True)
    assert name not in done.stderr, done.stderr


def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(new, check=True, capture_output=True)
    site = re.sub(r"/etc/letsencrypt/\S+/privkey.pem", str(key), NGINX)
    site = re.sub(r"/etc/letsencrypt/\S+/fullchain.pem", str(cert), site)
    site = re.sub(r"listen (\[::\]:)?(\d+)", lambda found: f"listen {found[1] or ''}{10_000 + int(found[2])}", site)
    (tmp_path / "site.conf").write_text(site)
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    around = f"pid {tmp_path}/pid; error_log {tmp_path}/error; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{around} http {{ access_log off; {paths} include {tmp_path}/site.conf; }}")
    done = subprocess.run([nginx, "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed")
    command = [caddy, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
