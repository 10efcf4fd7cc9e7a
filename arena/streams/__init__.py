"""One Valkey stream per turn: the worker publishes both sides into it, browsers read it as one SSE.

events.py is the vocabulary, publish.py the worker's side, hub.py the one shared reader of a web process, replay.py tells
a turn whose stream is gone, sse.py is the HTTP side.
"""
