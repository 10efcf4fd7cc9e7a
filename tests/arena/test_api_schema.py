"""schemathesis over the public API, against the ASGI application and real rows: every check that it has, bounded examples."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import schemathesis
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from arena import receipts
from arena.asgi import application
from arena.models import Contestant
from datasets import releases
from tests.datasets import making
from tests.datasets.rows import releasable
from tests.ranking import publishing, rows

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = "/api/v1/openapi.json"
EXAMPLES = 40  # of each operation
PATH = {"name": "x", "path": "x", "page": 1, "entry": 1, "receipt": "vote-aaaa"}


@pytest.fixture
def api(
    transactional_db: None, valkey: redis.Redis, settings: object, tmp_path: Path
) -> Iterator[schemathesis.BaseSchema]:
    settings.API_BURST = settings.API_PER_MINUTE = 100_000
    settings.RELEASES_DIR = tmp_path / "releases"
    releasable()
    making.make("first")
    releases.recall(making.make("second"), None, "A model was named wrongly.")
    hidden, *_ = publishing.publish((30, 10), (3, 0), (8, 9))
    publishing.hide(hidden)
    yield schemathesis.openapi.from_asgi(DOCUMENT, application)
    connections.close_all()


def test_every_answer_is_what_the_document_says(api: schemathesis.BaseSchema) -> None:
    """Valid values, and where an operation takes any, invalid ones: status, media type, headers and body are all described."""
    for operation in operations(api):
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if mode == GenerationMode.NEGATIVE and not operation.query:
                continue  # without typed values nothing can be wrong
            check(operation.as_strategy(generation_mode=mode).filter(no_range_is_backwards))


def test_real_rows_are_what_the_document_says(api: schemathesis.BaseSchema) -> None:
    by_name = {operation.label: operation for operation in operations(api)}
    board = by_name["GET /api/v1/leaderboard"].Case().call_and_validate().json()
    assert [model["name"] for model in board["models"] if model["anonymous_until"]] == ["Olive Branch"]
    boards = by_name["GET /api/v1/leaderboard/boards"].Case().call_and_validate().json()["boards"]
    assert [(one["origin"], one["category"], one["style"]) for one in boards] == [("live", "", "off")]
    series = by_name["GET /api/v1/leaderboard/history"].Case(query={"model": ["olive-branch"]}).call_and_validate()
    assert [len(one["points"]) for one in series.json()["series"]] == [1]
    pairs = by_name["GET /api/v1/leaderboard/pairs"].Case(query={"limit": 3}).call_and_validate().json()
    assert len(pairs["battles"]) == 3
    listed = by_name["GET /api/v1/releases"].Case(query={"limit": 1, "offset": 1}).call_and_validate().json()
    assert (listed["count"], [one["name"] for one in listed["releases"]]) == (2, ["first"])
    log = by_name["GET /api/v1/log"].Case().call_and_validate().json()
    assert log["entries"] > 50 and len(log["publications"]) == 1
    entry, page = log["entries"], {"page": log["pages"]}
    for name, path in (
        ("pages/{page}.jsonl", page),
        ("pages/{page}.jsonl.gz", page),
        ("boards/{entry}", {"entry": entry}),
    ):
        assert by_name[f"GET /api/v1/log/{name}"].Case(path_parameters=path).call_and_validate().status_code == 200
    opened = by_name["GET /api/v1/log/openings"].Case().call_and_validate().json()["openings"]
    assert [(one["publication"], one["exclusions"]) for one in opened] == [(entry, 0)]
    named = by_name["GET /api/v1/log/models"].Case().call_and_validate().json()["models"]
    assert "Olive Branch" in {one["name"] for one in named}
    event = rows.cast(*Contestant.objects.order_by("name")[:2], "a")
    told = by_name["GET /api/v1/log/receipts/{receipt}"]
    receipt = {"receipt": receipts.receipt(event.vote_id)}
    assert told.Case(path_parameters=receipt).call_and_validate().json()["status"] == "waiting"
    one = by_name["GET /api/v1/releases/{name}"]
    assert one.Case(path_parameters={"name": "first"}).call_and_validate().json()["files"]
    assert one.Case(path_parameters={"name": "second"}).call_and_validate().json()["recall_reason"]


def no_range_is_backwards(case: Case) -> bool:
    """What no schema can say: two valid days, the first after the last, are a 422 (tested with the boards)."""
    since, until = ((case.query or {}).get(name) for name in ("since", "until"))
    return not (isinstance(since, str) and isinstance(until, str) and since > until)


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
        answer = operation.Case(method=method, path_parameters=PATH).call()
        assert answer.status_code == 405, operation.label
        assert answer.headers["allow"] == ["GET, HEAD, OPTIONS"]


def operations(api: schemathesis.BaseSchema) -> list[APIOperation]:
    found = [result.ok() for result in api.get_all_operations()]
    assert {"GET /api/v1/leaderboard", "GET /api/v1/releases"} <= {operation.label for operation in found}
    assert all(operation.label.startswith("GET /api/v1/") for operation in found), "read-only"
    return found
