"""S14: a signed puzzle for one visitor, that ends, works once, and pays for one request after the limit; on a real Valkey."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.core import signing
from django.http import HttpResponse

from arena import limits, puzzles
from arena.models import Battle
from tests import factories
from tests.arena.views_help import Person

WORKER = Path(__file__).resolve().parents[2] / "static" / "js" / "puzzle-worker.js"


@pytest.fixture(autouse=True)
def easy(settings: Any, valkey: redis.Redis) -> None:
    settings.PUZZLE_BITS = 8
    settings.LIMIT_VISITOR_BURST, settings.LIMIT_VISITOR_PER_MINUTE = 1, 1


def solution(token: str, bits: int) -> str:
    return next(str(n) for n in count() if puzzles.zero_bits(f"{token}:{n}") >= bits)


def solved(subject: str) -> tuple[str, str]:
    puzzle = puzzles.offer(subject)
    assert puzzle is not None
    return puzzle.token, solution(*puzzle)


def test_a_solution_works_once() -> None:
    token, number = solved("ada")
    assert puzzles.redeem("ada", "g", token, number)
    assert not puzzles.redeem("ada", "g", token, number)
    other = next(str(n) for n in count(int(number) + 1) if puzzles.zero_bits(f"{token}:{n}") >= 8)
    assert not puzzles.redeem("ada", "g", token, other), "another number for the same puzzle is no other payment"


def test_it_is_remembered_until_its_puzzle_has_ended(settings: Any, valkey: redis.Redis) -> None:
    assert puzzles.redeem("ada", "g", *solved("ada"))
    [kept] = valkey.keys("puzzle:*")
    assert valkey.ttl(kept) >= settings.PUZZLE_TTL_S


def test_of_many_at_once_one_works() -> None:
    token, number = solved("ada")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: puzzles.redeem("ada", "g", token, number), range(40))) == 1


def test_it_is_for_its_visitor_alone() -> None:
    token, number = solved("ada")
    assert not puzzles.redeem("eve", "g", token, number)
    assert puzzles.redeem("ada", "g", token, number), "a stranger's try does not use it up"


def test_it_ends(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token, number = solved("ada")
    late = signing.time.time() + settings.PUZZLE_TTL_S + 1
    monkeypatch.setattr(signing.time, "time", lambda: late)
    assert not puzzles.solves("ada", token, number)


@pytest.mark.parametrize("number", ["", "-1", "1e3", "٣", "9" * 17, "abc"])
def test_an_answer_is_a_number(number: str) -> None:
    assert not puzzles.solves("ada", solved("ada")[0], number)


def test_it_must_have_been_worked_out_and_be_ours() -> None:
    token, number = solved("ada")
    wrong = next(str(n) for n in count() if puzzles.zero_bits(f"{token}:{n}") < 8)
    assert not puzzles.solves("ada", token, wrong)
    owner = token.partition(".")[0]
    forged, easy = token.replace(f"{owner}.8", f"{owner}.0"), f"{owner}.0.x"
    assert forged != token and not puzzles.solves("ada", forged, "1")
    assert not puzzles.solves("ada", signing.TimestampSigner(salt="agon.visitor").sign(easy), "1")
    assert not puzzles.solves("ada", signing.TimestampSigner(key="another", salt="agon.puzzle").sign(easy), "1")
    assert puzzles.solves("ada", signing.TimestampSigner(salt="agon.puzzle").sign(easy), "1"), (
        "the forgeries lack the key alone"
    )


def test_what_the_browser_gets_names_nobody() -> None:
    assert "ada" not in puzzles.offer("ada").token  # type: ignore[union-attr]


def test_work_buys_only_so_much_per_prefix(settings: Any) -> None:
    settings.PUZZLE_BURST, settings.PUZZLE_PER_MINUTE = 2, 1
    assert [puzzles.redeem(f"v{n}", "g", *solved(f"v{n}")) for n in range(4)] == [True, True, False, False]
    assert puzzles.redeem("v9", "other", *solved("v9"))


def test_without_valkey_nothing_is_paid(settings: Any, tmp_path: Path) -> None:
    token, number = solved("ada")
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock?db=0"
    assert not puzzles.redeem("ada", "g", token, number)


def test_switched_off_there_is_none(settings: Any) -> None:
    settings.PUZZLE_BITS = 0
    assert puzzles.offer("ada") is None


def test_paid_holds_for_one_request_only() -> None:
    visitor = uuid4()
    limits.charge(visitor, "g")
    with limits.paid(True):
        limits.charge(visitor, "g")
    assert limits.take(visitor, "g") > 0


# --- over HTTP --------------------------------------------------------------------------------------------------------


def offered(answer: HttpResponse) -> tuple[str, str]:
    found = re.search(r'data-puzzle="([^"]+)" data-bits="(\d+)" data-worker="([^"]+)"', answer.content.decode())
    assert found is not None and found[3].endswith(".js")
    return found[1], solution(found[1], int(found[2]))


@pytest.mark.django_db
def test_after_the_limit_a_solution_starts_the_battle_and_nothing_else_does() -> None:
    factories.ring(2)
    person = Person()
    assert person.start(htmx=True).status_code == 204
    refused = person.start(htmx=True)
    assert refused.status_code == 429 and "Retry-After" in refused.headers
    token, number = offered(refused)
    assert person.start(htmx=True, puzzle=token, answer="0" if number != "0" else "1").status_code == 429
    assert person.start(htmx=True, puzzle=token, answer=number).status_code == 204
    assert person.start(htmx=True, puzzle=token, answer=number).status_code == 429
    assert Battle.objects.filter(visitor=person.visitor).count() == 2


@pytest.mark.django_db
def test_a_neighbour_of_the_same_network_cannot_spend_it() -> None:
    factories.ring(2)
    ada, eve = Person(), Person()
    for person in (ada, eve):
        person.start(htmx=True)
    token, number = offered(ada.start(htmx=True))
    assert eve.start(htmx=True, puzzle=token, answer=number).status_code == 429
    assert ada.start(htmx=True, puzzle=token, answer=number).status_code == 204


@pytest.mark.django_db
def test_it_does_not_open_the_gate_or_the_backlog(settings: Any) -> None:
    factories.ring(2)
    settings.OPEN_TURNS_PER_VISITOR = 1
    person = Person()
    person.start(htmx=True)
    token, number = offered(person.start(htmx=True))
    answer = person.start(htmx=True, puzzle=token, answer=number)
    assert answer.status_code == 429 and b'data-code="backlog"' in answer.content


@pytest.mark.django_db
def test_without_scripts_one_waits_as_before() -> None:
    factories.ring(2)
    person = Person()
    person.start()
    answer = person.start()
    assert answer.status_code == 429 and b"data-puzzle" not in answer.content
    assert b"data-countdown" in answer.content and "Retry-After" in answer.headers


@pytest.mark.django_db
def test_a_newcomer_is_bound_to_the_prefix(settings: Any) -> None:
    factories.ring(2)
    settings.LIMIT_PREFIX_BURST, settings.LIMIT_PREFIX_PER_MINUTE = 2, 1
    settings.LIMIT_VISITOR_BURST = 5
    Person(agreed=False).start(htmx=True, agree_terms="1")
    late = Person(agreed=False)
    token, number = offered(late.start(htmx=True, agree_terms="1"))
    assert late.start(htmx=True, agree_terms="1", puzzle=token, answer=number).status_code == 204


@pytest.mark.skipif(
    shutil.which("node") is None, reason="the worker runs in the browser's test as well; here it wants node"
)
def test_the_workers_hash_is_sha256() -> None:
    token, bits = puzzles.offer("ada")  # type: ignore[misc]
    call = f"self.onmessage({{ data: {{ token: '{token}', bits: {bits} }} }});"
    script = f"globalThis.self = {{ postMessage: (n) => console.log(n) }};\n{WORKER.read_text()}\n{call}"
    out = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    assert out == solution(token, bits), "the same first number as here"
