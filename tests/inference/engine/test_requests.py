"""Every field of a chat request: what is allowed, and that everything else is a 400 that names it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.errors import ApiError
from inference.engine.requests import FIELDS, IGNORED, NEUTRAL, parse_chat

USER = {"role": "user", "content": "hi"}
PLAIN: dict[str, Any] = {"model": "m", "messages": [USER]}


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"model": None}, "model", "missing"),
        ({"model": ""}, "model", "1 to 256 characters"),
        ({"messages": []}, "messages", "1 to 1000"),
        ({"messages": [USER] * 1001}, "messages", "1 to 1000"),
        ({"messages": ["hi"]}, "messages[0]", "object"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].role", "system"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "string"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content", "Unicode"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", "text only"),
        ({"messages": [{**USER, "tool_calls": []}]}, "messages[0]", "messages[0].tool_calls"),
        ({"banana": 1}, "banana", "unknown field `banana`"),
        ({"n": 2}, "n", "no `n`"),
        ({"n": True}, "n", "no `n`"),
        ({"tools": [{}]}, "tools", "no `tools`"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "needs `stream`"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options", "stream_options.x"),
        ({"stream": True, "prompt_logprobs": 1}, "prompt_logprobs", "without it"),
        ({"temperature": -1}, "temperature", "from 0 to 100"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"temperature": True}, "temperature", "number"),
        ({"temperature": float("nan")}, "temperature", "number"),
        ({"top_p": 0}, "top_p", "number"),
        ({"top_k": 1.5}, "top_k", "whole"),
        ({"seed": 1 << 64}, "seed", "whole"),
        ({"max_tokens": 0}, "max_tokens", "from 1"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "differ"),
        ({"stop": ["a"] * 17}, "stop", "16"),
        ({"stop": [""]}, "stop", "1 to 256"),
        ({"stop": {"a": 1}}, "stop", "string"),
        ({"top_logprobs": 2}, "top_logprobs", "needs `logprobs`"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "from 0 to 20"),
        ({"continue_final_message": True}, "messages", "assistant"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message", "both"),
        ({"cache_salt": ""}, "cache_salt", "1 to 256"),
        ({"vllm_xargs": []}, "vllm_xargs", "object"),
        ({"vllm_xargs": {"colour": "red"}}, "vllm_xargs", "vllm_xargs.colour"),
        ({"vllm_xargs": {"class": "vip"}}, "vllm_xargs.class", "battle, exam, simulation"),
        ({"vllm_xargs": {"pair_size": 2}}, "vllm_xargs.pair", "needs"),
        ({"vllm_xargs": {"pair": "t", "pair_size": 3}}, "vllm_xargs.pair_size", "from 1 to 2"),
    ],
)
def test_refused(fields: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_chat({**PLAIN, **fields})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert says in caught.value.message


def test_defaults_and_null() -> None:
    nulls = dict.fromkeys([*FIELDS - {"model", "messages"}, *NEUTRAL, *IGNORED])
    asked = parse_chat({**nulls, **PLAIN})
    assert asked == parse_chat(PLAIN)
    assert (asked.temperature, asked.top_p, asked.top_k, asked.max_tokens, asked.logprobs) == (1.0, 1.0, 0, None, None)
    assert (asked.add_generation_prompt, asked.continue_final, asked.fairness.pair_size) == (True, False, 1)


def test_what_asks_for_nothing_is_allowed() -> None:
    neutral = {name: values[0] for name, values in NEUTRAL.items()}
    assert parse_chat({**PLAIN, **neutral, **dict.fromkeys(IGNORED, "x")}) == parse_chat(PLAIN)


def test_values_arrive() -> None:
    asked = parse_chat(
        {
            **PLAIN,
            "messages": [USER, {"role": "assistant", "content": "so"}],
            "continue_final_message": True,
            "top_k": -1,
            "seed": -1,
            "stop": "x",
            "max_tokens": 5.0,
            "logprobs": True,
            "vllm_xargs": {"client": "c", "pair": "t"},
        }
    )
    assert (asked.continue_final, asked.add_generation_prompt, asked.top_k, asked.stop) == (True, False, 0, ("x",))
    assert (asked.seed, asked.max_tokens, asked.logprobs) == ((1 << 64) - 1, 5, 0)
    assert (asked.fairness.client, asked.fairness.pair, asked.fairness.pair_size) == ("c", "t", 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, *NEUTRAL, "x"]), json_values, max_size=6), st.booleans())
def test_any_json_is_parsed_or_refused_with_400(fields: dict[str, Any], plain: bool) -> None:
    answer = None
    with suppress(ApiError):
        answer = parse_chat({**PLAIN, **fields} if plain else fields)
    assert answer is None or answer.model, "nothing but ApiError may come out"
