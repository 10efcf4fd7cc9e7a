"""schemathesis over the public API, against the ASGI application and real rows: every check that it has, bounded examples."""

from collections.abc import Iterator

import pytest
import redis
import schemathesis
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from arena.asgi import application
from tests.ranking import pages

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = "/api/v1/openapi.json"
EXAMPLES = 40  # of each operation


@pytest.fixture
def api(transactional_db: None, valkey: redis.Redis, settings: object) -> Iterator[schemathesis.BaseSchema]:
    settings.API_BURST = settings.API_PER_MINUTE = 100_000
    hidden, *_ = pages.publish((30, 10), (3, 0), (8, 9))
    pages.hide(hidden)
    yield schemathesis.openapi.from_asgi(DOCUMENT, application)
    connections.close_all()


def test_every_answer_is_what_the_document_says(api: schemathesis.BaseSchema) -> None:
    """Valid values, and where an operation takes any, invalid ones: status, media type, headers and body are all described."""
    for operation in operations(api):
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if mode == GenerationMode.NEGATIVE and not (operation.path_parameters or operation.query):
                continue
            check(operation.as_strategy(generation_mode=mode))


def check(cases: SearchStrategy[Case]) -> None:
    @given(cases)
    @examples(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def one(case: Case) -> None:
        case.call_and_validate()

    one()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_no_operation_writes(api: schemathesis.BaseSchema, method: str) -> None:
    for operation in operations(api):
        answer = operation.Case(method=method, path_parameters={"name": "x", "path": "x"}).call()
        assert answer.status_code == 405, operation.label
        assert answer.headers["allow"] == ["GET, HEAD, OPTIONS"]


def operations(api: schemathesis.BaseSchema) -> list[APIOperation]:
    found = [result.ok() for result in api.get_all_operations()]
    assert {"GET /api/v1/leaderboard"} <= {operation.label for operation in found}
    assert all(operation.label.startswith("GET /api/v1/") for operation in found), "read-only"
    return found
