"""A dispatcher over given targets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inference.dispatch import Dispatcher, DispatchLimits
from inference.events import GenerationFailed
from inference.target import Target
from tests.inference.serving import collect, wanted


@asynccontextmanager
async def dispatching(*targets: Target, **limits: float) -> AsyncIterator[Dispatcher]:
    async def load() -> list[Target]:
        return list(targets)

    async with Dispatcher(load, DispatchLimits(**limits)) as dispatcher:
        yield dispatcher


async def failure(dispatcher: Dispatcher, **fields: object) -> GenerationFailed:
    with pytest.raises(GenerationFailed) as failed:
        await collect(dispatcher.stream(wanted(**fields)))
    assert type(failed.value) is GenerationFailed, "evidence of the provider's must stay inside"
    return failed.value
