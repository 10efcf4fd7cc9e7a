"""WebSocket paths."""

from django.urls import path

from arena.live.consumers import LiveConsumer, OpsConsumer

websocket_urls = [path("live/", LiveConsumer.as_asgi()), path("live/ops/", OpsConsumer.as_asgi())]
