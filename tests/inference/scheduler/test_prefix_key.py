"""What separates prefixes, and tokens as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.prefix_key import TOKEN_BYTES, decode, encode, salt_of
from inference.scheduler.protocol import Request, ServiceClass


@pytest.mark.parametrize(
    ("client", "klass", "meta", "salt"),
    [
        ("visitor-1", ServiceClass.BATTLE, {"cache_salt": "visitor-1"}, "visitor-1"),
        ("exam:sorry", ServiceClass.EXAM, {"cache_salt": "exam:sorry"}, "exam:sorry"),
        ("visitor-1", ServiceClass.BATTLE, {"cache_salt": None}, "visitor-1"),
        ("town", ServiceClass.SIMULATION, {}, "town"),
        ("judge", ServiceClass.EXAM, {"cache_salt": "rubric"}, "rubric"),
        ("", ServiceClass.BATTLE, {}, ""),
    ],
)
def test_the_salt_is_the_senders_or_the_client(client, klass, meta, salt):
    assert salt_of(Request("r", client, klass=klass, meta=meta)) == salt


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(0, 20))
def test_tokens_have_equal_width(tokens, cut):
    text = encode(tokens)
    assert decode(text) == tokens
    assert text[: cut * TOKEN_BYTES] == encode(tokens[:cut])


@pytest.mark.parametrize("token", [-1, 2**32])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(OverflowError):
        encode([token])
