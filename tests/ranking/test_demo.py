"""The demo is removed while workers still write about it: right after a start, when its votes are labelled and enriched."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from arena.models import Battle, Enrichment, Message, Vote, VoteEvent
from arena.models.battles import Origin
from arena.models.votes import EventKind
from ranking import demo
from ranking.counting import labelling
from ranking.models import VoteStyle
from tests.datasets.rows import enrich
from tests.ranking import rows
from tests.ranking.side_by_side import threads, waits_for_a_lock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey", "no_broker")]


def labels() -> Callable[[], object]:
    """Holds a vote as `labelling.label` does, then writes what it writes."""
    vote = Vote.objects.select_for_update(no_key=True).get()
    cast = vote.events.get()

    def write() -> None:
        given = {name: getattr(cast, name) for name in ("vote", "origin", "contestant_a", "contestant_b", "choice")}
        VoteEvent.objects.create(kind=EventKind.RECATEGORISE, categories=["english"], **given)
        VoteStyle.objects.create(event=cast, version=labelling.version(), **dict.fromkeys(labelling.SIZES, 0))

    return write


def enriches() -> Callable[[], object]:
    """Holds a message as `enrichment.enrich` does, then writes what it writes."""
    message = Message.objects.select_for_update(no_key=True).get()
    return lambda: enrich(message)


@pytest.mark.parametrize("hold", [labels, enriches])
def test_a_worker_that_holds_a_row_is_waited_for_and_its_rows_go_too(hold: Callable[[], Callable[[], object]]) -> None:
    rows.cast(*rows.contestants(2), "a", origin=Origin.DEMO)
    backend: list[int] = []
    removed: list[int] = []

    def wipe() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backend.extend(cursor.fetchone())
        removed.append(demo.wipe())

    def work() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            write = hold()
            wiping = threading.Thread(target=lambda: threads(wipe))
            wiping.start()
            while not waits_for_a_lock(cursor, backend):
                assert wiping.is_alive()
            write()
        wiping.join(30)

    threads(work)
    assert removed == [1]
    assert not any(model.objects.exists() for model in (Battle, Vote, VoteEvent, VoteStyle, Message, Enrichment))
