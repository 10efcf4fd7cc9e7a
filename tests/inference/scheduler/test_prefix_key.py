"""What separates prefixes, and tokens as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.scheduler.prefix_key import ALIKE_FROM, TOKEN_BYTES, alike, decode, encode, salt_of
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


def test_prompts_are_alike_that_begin_with_the_same_half() -> None:
    document, client = list(range(1500)), Request("r", "a")
    of = {question: alike(client, document + [question] * 40) for question in (7, 8)}
    assert of[7] == of[8] is not None
    assert alike(client, document[:1000] + [9] * 540) != of[7], "another document behind the same preamble"
    assert alike(Request("r", "b"), document + [7] * 40) != of[7], "another salt"
    assert alike(Request("r", "a", adapter="poet"), document + [7] * 40) != of[7]
    assert alike(client, document[:ALIKE_FROM]) is None, "short ones are looked up one by one"
    assert alike(client, document[: ALIKE_FROM + 1]) == alike(client, document[:ALIKE_FROM] + [9] * ALIKE_FROM)
    assert alike(client, []) is None


@given(st.lists(st.integers(0, 2**32 - 1)), st.integers(0, 20))
def test_tokens_have_equal_width(tokens, cut):
    text = encode(tokens)
    assert decode(text) == tokens
    assert text[: cut * TOKEN_BYTES] == encode(tokens[:cut])


@pytest.mark.parametrize("token", [-1, 2**32])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(OverflowError):
        encode([token])
