"""A crowd is served in turn, a few at a time; health checks pass by."""

import asyncio
from types import SimpleNamespace

from arena.turnstile import turnstile


async def test_so_many_at_once_and_the_others_in_their_order(settings: object) -> None:
    settings.WEB_AT_ONCE = 3
    inside, most, served = 0, 0, []

    async def site(request: SimpleNamespace) -> str:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        served.append(request.number)
        return "answer"

    gate = turnstile(site)
    crowd = [gate(SimpleNamespace(path_info="/", number=number)) for number in range(20)]
    assert await asyncio.gather(*crowd) == ["answer"] * 20
    assert most == 3
    assert served == sorted(served)


async def test_health_checks_wait_for_nobody_and_a_failure_leaves_its_place(settings: object) -> None:
    settings.WEB_AT_ONCE = 1
    hold = asyncio.Event()

    async def site(request: SimpleNamespace) -> str:
        if request.path_info == "/slow":
            await hold.wait()
            raise ValueError("broken")
        return "answer"

    gate = turnstile(site)
    slow = asyncio.create_task(gate(SimpleNamespace(path_info="/slow")))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(gate(SimpleNamespace(path_info="/")))
    assert await gate(SimpleNamespace(path_info="/healthz")) == "answer"
    assert not waiting.done()
    hold.set()
    assert await waiting == "answer"
    assert isinstance(await asyncio.gather(slow, return_exceptions=True), list)
