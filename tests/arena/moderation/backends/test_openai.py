"""The moderation endpoint's answers: sound ones are read, everything else is an error and never a pass."""

import json
import time

import pytest

from arena.models.moderation import Standing
from arena.moderation.backends import Misconfigured, Opinion
from arena.moderation.backends.openai import PIECE, OpenAIModeration
from tests.arena.moderation.backends.server import Answer, answers, raw, result, serving, slow

MODEL = "omni-moderation-2024-09-26"


def ask(*script: Answer, texts: tuple[str, ...] = ("one", "two"), **more: object) -> list[Opinion]:
    with serving(*script) as endpoint:
        backend = OpenAIModeration(endpoint.url, MODEL, **({"timeout_s": 2.0, "tries": 1} | more))
        return backend.look(list(texts))


def test_a_pass_and_a_flag_with_names_scores_version_and_latency() -> None:
    passed, flagged = ask(answers(result(), result("violence", "hate")))
    assert (passed.standing, passed.categories, passed.error) == (Standing.PASSED, (), "")
    assert (flagged.standing, flagged.categories) == (Standing.FLAGGED, ("hate", "violence"))
    assert flagged.scores["violence"] == 0.9
    assert passed.version == flagged.version == MODEL
    assert 0 <= passed.latency_ms < 60_000


def test_what_is_sent() -> None:
    with serving() as endpoint:
        OpenAIModeration(endpoint.url, MODEL, key="k-1").look(["Grüße", "\u2028"])
        assert endpoint.asked == [{"model": MODEL, "input": ["Grüße", "\u2028"]}]
        assert endpoint.keys == ["Bearer k-1"]
        OpenAIModeration(endpoint.url, MODEL).look(["x"])
        assert endpoint.keys[1] is None
        assert OpenAIModeration(endpoint.url, MODEL).look([]) == []


def test_a_category_that_we_do_not_know_is_kept_under_its_name() -> None:
    opinion, other = ask(answers(result("illicit/brand-new"), result(another=0.4)))
    assert (opinion.standing, opinion.categories) == (Standing.FLAGGED, ("illicit/brand-new",))
    assert other.standing == Standing.PASSED and other.scores["another"] == 0.4


def test_thresholds_make_it_stricter_and_never_laxer() -> None:
    strict = {"sexual/minors": 0.2, "violence": 0.95}
    first, second = ask(answers(result(sexual__minors=0.2), result("violence", violence=0.5)), thresholds=strict)
    assert (first.standing, first.categories) == (Standing.FLAGGED, ("sexual/minors",))
    assert (second.standing, second.categories) == (Standing.FLAGGED, ("violence",))


def test_flagged_without_a_category_is_flagged_and_a_category_without_flagged_too() -> None:
    nameless, silent = result() | {"flagged": True}, result("hate") | {"flagged": False}
    first, second = ask(answers(nameless, silent))
    assert (first.standing, first.categories) == (Standing.FLAGGED, ("unspecified",))
    assert (second.standing, second.categories) == (Standing.FLAGGED, ("hate",))


def changed(**fields: object) -> dict:
    return result() | fields


@pytest.mark.parametrize(
    "broken",
    [
        changed(category_scores=dict(result()["category_scores"], hate=float("nan"))),
        changed(category_scores=dict(result()["category_scores"], hate=float("inf"))),
        changed(category_scores=dict(result()["category_scores"], hate=-0.1)),
        changed(category_scores=dict(result()["category_scores"], hate=1.1)),
        changed(category_scores=dict(result()["category_scores"], hate="0.1")),
        changed(category_scores=dict(result()["category_scores"], hate=True)),
        changed(category_scores={}),
        changed(category_scores=None),
        changed(category_scores=[0.1]),
        changed(categories={}),
        changed(categories=dict.fromkeys(result()["categories"])),
        changed(categories=dict(result()["categories"], hate="no")),
        changed(categories=["hate"]),
        changed(flagged="false"),
        changed(flagged=None),
        {},
        None,
        [],
        "passed",
        0,
    ],
)
def test_a_result_that_is_not_sound_is_an_error_for_its_text_alone(broken: object) -> None:
    first, second = ask(answers(broken, result()))
    assert (first.standing, first.error, first.categories) == (Standing.ERROR, "malformed", ())
    assert second.standing == Standing.PASSED


def test_a_category_that_the_model_does_not_know_is_null() -> None:
    sound = result()
    sound["categories"]["illicit"] = sound["category_scores"]["illicit"] = None
    assert ask(answers(sound, sound))[0].standing == Standing.PASSED


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers(result()), "incomplete"),
        (answers(result(), result(), result()), "incomplete"),
        (raw('{"results": []}'), "incomplete"),
        (raw('{"results": {}}'), "malformed"),
        (raw("{}"), "malformed"),
        (raw("[]"), "malformed"),
        (raw("null"), "malformed"),
        (raw(""), "malformed"),
        (raw('{"results": ['), "malformed"),
        (raw("<html>busy</html>"), "malformed"),
        (raw("[" * 100_000), "malformed"),
        (raw("\xff\xfe"), "malformed"),
        (raw("x" * 9_000_000), "too_long"),
        (raw("busy", 429), "http_429"),
        (raw("oops", 500), "http_500"),
        (raw("no", 400), "http_400"),
        (raw("", 302, Location="http://127.0.0.1:9/"), "http_302"),
        (raw(json.dumps({"error": {"message": "bad"}})), "malformed"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_an_error_for_all(answer: Answer, code: str) -> None:
    opinions = ask(answer)
    assert [(one.standing, one.error) for one in opinions] == [(Standing.ERROR, code)] * 2


def test_a_server_that_says_nothing_is_left_after_the_timeout() -> None:
    opinions = ask(slow(3.0), timeout_s=0.3)
    assert {one.error for one in opinions} == {"timeout"} and all(one.away for one in opinions)


def test_nobody_there() -> None:
    opinions = OpenAIModeration("http://127.0.0.1:9/", MODEL, tries=1).look(["x"])
    assert [(one.standing, one.error) for one in opinions] == [(Standing.ERROR, "unreachable")]


def test_what_passes_is_tried_again_within_bounds() -> None:
    assert ask(raw("", 500), answers(), tries=2)[0].standing == Standing.PASSED
    began = time.monotonic()
    assert ask(raw("", 429, Retry_After="1"), answers(), tries=2)[0].standing == Standing.PASSED
    assert time.monotonic() - began >= 1.0
    with serving(raw("", 503)) as endpoint:
        assert OpenAIModeration(endpoint.url, MODEL, tries=3).look(["x"])[0].error == "http_503"
        assert len(endpoint.asked) == 3


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_long_retry_after_is_not_waited_for(after: str) -> None:
    began = time.monotonic()
    with serving(raw("", 429, Retry_After=after)) as endpoint:
        assert OpenAIModeration(endpoint.url, MODEL, tries=3).look(["x"])[0].error == "http_429"
        assert len(endpoint.asked) == 1
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_ours_is_no_word_about_the_texts(status: int) -> None:
    with pytest.raises(Misconfigured, match=f"answers {status}") as refused:
        ask(raw("", status), key="sk-very-secret")
    assert "secret" not in str(refused.value)


def test_a_long_text_is_read_to_its_end_and_its_worst_piece_counts() -> None:
    text = "a" * (2 * PIECE) + "the end"
    with serving(answers(result(), result(), result("hate"), result())) as endpoint:
        long, short = OpenAIModeration(endpoint.url, MODEL).look([text, "short"])
        sent = endpoint.asked[0]["input"]
    assert len(sent) == 4 and sent[3] == "short" and sent[2].endswith("the end")
    assert all(len(piece) <= PIECE for piece in sent)
    assert (long.standing, long.categories, long.scores["hate"]) == (Standing.FLAGGED, ("hate",), 0.9)
    assert short.standing == Standing.PASSED
    first, _second = ask(answers(result(), None, result(), result()), texts=(text, "short"))
    assert first.standing == Standing.ERROR, "one piece unread: the text is unread"
