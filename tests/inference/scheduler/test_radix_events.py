"""What the prefix tree tells of stored and removed pages, page by page, in a log that is bounded."""

from __future__ import annotations

import pytest

from inference.scheduler.prefix_key import PrefixKey
from inference.scheduler.radix_events import EventLog, Removed, Stored
from tests.inference.scheduler.pages import Cache


@pytest.mark.parametrize("page", [1, 2, 4])
def test_events_name_every_page_once(page):
    cache = Cache(page, events=EventLog())
    cache.insert([1, 2, 3, 4, 5])
    stored = cache.tree._events.take()
    assert [list(e.tokens) for e in stored] == [[1, 2, 3, 4, 5][i : i + page] for i in range(0, 5 - page + 1, page)]
    assert [e.parent for e in stored] == [None, *(e.hash for e in stored[:-1])]
    cache.insert([1, 2, 3, 4, 5])
    assert cache.tree._events.take() == [], "nothing new"
    cache.tree.evict(5)
    assert cache.tree._events.take() == [Removed(e.hash) for e in reversed(stored)]
    assert cache.tree._events.take() == []


def test_events_of_equal_pages_in_other_places_differ():
    cache = Cache(2, events=EventLog())
    cache.insert([1, 2, 1, 2])
    cache.insert([1, 2, 1, 2], PrefixKey("other"))
    events = cache.tree._events.take()
    assert len({e.hash for e in events}) == 4 and all(isinstance(e, Stored) for e in events)


def test_events_follow_splits():
    cache = Cache(2, events=EventLog())
    cache.insert([1, 2, 3, 4])
    first = cache.tree._events.take()
    cache.insert([1, 2, 5, 6])
    branch = cache.tree._events.take()
    assert [(e.tokens, e.parent) for e in branch] == [((5, 6), first[0].hash)]
    cache.tree.evict(2)
    assert cache.tree._events.take() == [Removed(first[1].hash)]


def test_the_event_log_is_bounded():
    log = EventLog(limit=3)
    cache = Cache(1, events=log)
    cache.insert([1, 2, 3, 4, 5])
    assert [e.tokens for e in log.take()] == [(3,), (4,), (5,)] and log.lost == 2
    with pytest.raises(ValueError, match="limit"):
        EventLog(0)


def test_no_events_without_a_log():
    cache = Cache()
    cache.insert([1, 2])
    assert cache.tree._events is None and cache.match([1, 2]).node.hashes == []
