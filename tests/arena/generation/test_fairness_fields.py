"""Who asks, from the visitor's turn to the engine's scheduler: each link of the chain is the real one, only HTTP is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.engine.chat import ChatApi, ChatLimits
from inference.engine.metrics import Metrics
from inference.engine.requests import parse_chat
from inference.engine.text import ChatText
from inference.events import Wanted
from inference.scheduler.prefix_key import salt_of
from inference.scheduler.protocol import Request, ServiceClass
from inference.scheduler.registry import make_scheduler
from inference.wire import request_body
from tests.arena.generation.playing import END, ScriptedDispatcher, begin, play
from tests.inference.engine.tiny_text import make_text
from tests.inference.serving import target

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


async def at_the_engine(wanted: Wanted, folder: Path) -> Request:
    """What the engine's scheduler is given for `wanted`."""
    ours = target("http://engine", "tiny", accepts_extras=True, has_scheduler=True)
    asked = parse_chat(request_body(ours, wanted))
    chat = ChatApi(None, ChatText(make_text(folder)), {"tiny": None}, ChatLimits(context=500), Metrics())  # type: ignore[arg-type]
    return (await chat._sequence(asked)).request


async def test_a_turn_reaches_the_scheduler_as_one_pair_of_its_visitor(tmp_path: Path) -> None:
    turn = await begin()
    dispatcher = ScriptedDispatcher(["x", END], ["y", END])
    await play(turn, dispatcher)
    sides = [await at_the_engine(wanted, tmp_path) for wanted in dispatcher.wanted]
    for request in sides:
        assert request.client == f"visitor:{turn.visitor_id}"
        assert (request.group, request.klass) == (turn.group, ServiceClass.BATTLE)
        assert turn.group
        assert (request.pair, request.pair_size) == (str(turn.id), 2)
        assert salt_of(request) == request.client, "nobody shares prefixes with another visitor"
        assert request.input_len > 0 and 0 < request.max_output <= 500
    scheduler = make_scheduler()
    for request in sides:
        assert scheduler.peek(lambda rs: True, lambda r: 0, 0.0) == ()
        assert scheduler.arrive(request, 0.0).accepted
    assert scheduler.waiting() == 1
    assert {r.id for r in scheduler.peek(lambda rs: True, lambda r: 0, 0.0)} == {r.id for r in sides}


async def test_another_side_alone_is_no_pair(tmp_path: Path) -> None:
    """A retry of one side must not wait for a half that will not come."""
    request = await at_the_engine(Wanted("m", None, [{"role": "user", "content": "hi"}], client="c"), tmp_path)
    assert (request.pair, request.pair_size) == (None, 1)
    scheduler = make_scheduler()
    scheduler.arrive(request, 0.0)
    assert scheduler.peek(lambda rs: True, lambda r: 0, 0.0) == (request,)
