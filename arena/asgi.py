"""The web process: HTTP by Django, WebSockets by Channels."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")
django.setup(set_prefix=False)  # before anything that imports models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from arena.body_limit import BodyLimit  # noqa: E402
from arena.handler import Handler  # noqa: E402
from arena.lifespan import lifespan  # noqa: E402
from arena.live.routing import websocket_urls  # noqa: E402
from arena.streams.sse import turn_stream  # noqa: E402

LARGER = 4  # up to here Django refuses with a page that keeps the text; beyond, nothing is read

pages = BodyLimit(Handler(), LARGER * settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
release_files = import_string("datasets.downloads.Files")(pages)  # by name: what is above us arrives as an address
http_routes = [
    path("b/<uuid:battle>/turns/<int:number>/stream", turn_stream),  # type: ignore[arg-type]
    re_path(r"^datasets/(?P<name>[a-z0-9_-]+)/(?P<path>[A-Za-z0-9._/-]+)$", release_files),
    re_path(r"", pages),  # type: ignore[arg-type]
]
application = ProtocolTypeRouter(
    {
        "http": URLRouter(http_routes),
        "lifespan": lifespan,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urls))),
    }
)
