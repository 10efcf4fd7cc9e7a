"""Request bodies and streamed chunks."""

import json
from uuid import uuid4

import pytest

from inference.events import Queued, Wanted
from inference.sse import COMMENT, SseItem
from inference.target import Target
from inference.wire import Answer, WireError, request_body
from tests.stub_engine import OPENAI_FIELDS

WANTED = Wanted(
    model="m",
    adapter=None,
    messages=[{"role": "user", "content": "hello"}],
    sampling={"temperature": 0.7, "top_p": 0.9, "top_k": 40, "max_tokens": 64, "stop": ["###"]},
    seed=12,
    client="visitor:1",
    group="g",
    pair="turn",
    pair_size=2,
    session_id="s",
    cache_salt="salt",
)


def target(**fields: object) -> Target:
    return Target(uuid4(), "m", None, "upstream", "https://host/v1", **fields)


def chunk(content: str | None = None, **choice: object) -> SseItem:
    delta = {} if content is None else {"content": content}
    return SseItem("", json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None} | choice]}))


def test_vendors_get_only_openai_fields() -> None:
    body = request_body(target(), WANTED)
    assert set(body) <= OPENAI_FIELDS
    assert body["model"] == "upstream"
    assert body["seed"] == 12
    assert body["stream_options"] == {"include_usage": True}


def test_our_endpoints_get_the_extras() -> None:
    body = request_body(target(accepts_extras=True), WANTED)
    assert body["vllm_xargs"] == {
        "client": "visitor:1",
        "group": "g",
        "class": "battle",
        "pair": "turn",
        "pair_size": 2,
    }
    assert (body["cache_salt"], body["session_id"], body["top_k"]) == ("salt", "s", 40)


def test_what_is_unset_is_not_sent() -> None:
    bare = Wanted("m", None, [], {"top_k": 0, "stop": [], "max_tokens": 8, "temperature": 0.0}, client="job")
    body = request_body(target(accepts_extras=True), bare)
    assert not {"stop", "top_k", "session_id", "cache_salt", "top_p"} & set(body)
    assert body["temperature"] == 0.0
    assert body["vllm_xargs"] == {"client": "job", "class": "battle"}


def test_dialects() -> None:
    body = request_body(target(limit_field="max_completion_tokens", asks_usage=False, sends_seed=False), WANTED)
    assert body["max_completion_tokens"] == 64
    assert not {"max_tokens", "stream_options", "seed"} & set(body)


def test_text_usage_and_end() -> None:
    answer = Answer()
    assert answer.read([SseItem(COMMENT, "queued position=3 eta_s=1.5"), chunk("")]) == ("", 0, Queued(3, 1.5))
    assert answer.read([chunk("Hel"), chunk("lo"), chunk(None, finish_reason="length")]) == ("Hello", 2, None)
    usage = SseItem("", '{"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}')
    answer.read([usage, SseItem("", "[DONE]"), chunk("after the end")])
    assert (answer.reason, answer.tokens_in, answer.tokens_out, answer.done) == ("length", 4, 2, True)


def test_queue_comments() -> None:
    assert Answer().read([SseItem(COMMENT, "queued position=2")])[2] == Queued(2, None)
    assert Answer().read([SseItem(COMMENT, "OPENROUTER PROCESSING"), SseItem(COMMENT, "queued position=x")])[2] is None


def test_hidden_reasoning_is_no_text_but_a_beginning() -> None:
    answer = Answer()
    item = SseItem("", '{"choices": [{"delta": {"reasoning_content": "hmm"}, "finish_reason": null}]}')
    assert answer.read([item]) == ("", 0, None)
    assert (answer.began, answer.has_text) == (True, False)


@pytest.mark.parametrize("reason", ["eos", "end_turn", "stop"])
def test_odd_names_for_the_end_are_an_end(reason: str) -> None:
    answer = Answer()
    answer.read([chunk("x", finish_reason=reason)])
    assert answer.reason == "stop"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "bad_response"),
        ("[1, 2]", "bad_response"),
        ("null", "bad_response"),
        ('{"choices": 5}', "bad_response"),
        ('{"choices": [{"delta": {"content": 5}}]}', "bad_response"),
        ('{"choices": [{"delta": "x"}]}', "bad_response"),
        ('{"choices": [], "usage": {"prompt_tokens": "many"}}', "bad_response"),
        ("[" * 100_000, "bad_response"),
        ('{"error": {"message": "m", "code": 500}}', "server_error"),
        ('{"error": "words"}', "server_error"),
        ('{"error": {"message": "m", "type": "overloaded_error", "code": "shed"}}', "busy"),
        ('{"error": {"message": "m", "code": 429}}', "rate_limited"),
        ('{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}', "rejected"),
        ('{"choices": [{"delta": {}, "finish_reason": "abort"}]}', "server_error"),
        ('{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}', "bad_response"),
    ],
)
def test_what_is_no_chunk_is_an_error(text: str, code: str) -> None:
    with pytest.raises(WireError) as failed:
        Answer().read([SseItem("", text)])
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "\ude00b"], "a\U0001f600b"),  # a character in two halves, as some vendors send it
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ude00"], "\ufffd"),
        (["a", "\ud83d"], "a"),
        (["a\x00b"], "a\ufffdb"),
        (["plain", " \U0001f600"], "plain \U0001f600"),
    ],
)
def test_text_can_always_be_stored_and_sent(pieces: list[str], text: str) -> None:
    answer = Answer()
    said = "".join(answer.read([chunk(piece)])[0] for piece in pieces)
    assert said == text
    said.encode()


@pytest.mark.parametrize("count", ["-1", "1e12", "Infinity", "NaN", "9" * 400])
def test_a_token_count_that_cannot_be_is_not_told(count: str) -> None:
    answer = Answer()
    answer.read([SseItem("", f'{{"choices": [], "usage": {{"prompt_tokens": 7, "completion_tokens": {count}}}}}')])
    assert (answer.tokens_in, answer.tokens_out) == (7, None)
