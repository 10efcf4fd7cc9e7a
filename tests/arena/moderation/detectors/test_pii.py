"""Personal data is found at its place however it is written, and what only looks like it is not."""

import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.moderation.detectors.pii import LONGEST, Span, find_pii
from arena.moderation.detectors.pii.phones import MOST
from tests.arena.moderation import public_data

HERE = Path(__file__).parent


def lines(name: str) -> list[str]:
    text = (HERE / name).read_text("utf-8").split("\n")
    return [line for line in text if line and not line.startswith("#")]


FINDS = [tuple(line.split("\t")) for line in lines("pii_finds.txt")]
HARMLESS = [line.replace("\\n", "\n") for line in lines("pii_harmless.txt")]


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and the spans between them."""
    spans, plain = [], ""
    for at, part in enumerate(text.replace("»", "«").split("«")):
        if at % 2 and part:
            spans.append((len(plain), len(plain) + len(part)))
        plain += part
    return plain, spans


@pytest.mark.parametrize(("kind", "text"), FINDS)
def test_what_is_personal_is_found_at_its_place(kind: str, text: str) -> None:
    plain, spans = marked(text)
    assert find_pii(plain)[-len(spans) :] == [Span(kind, *span) for span in spans]


def test_the_sets_are_large_enough() -> None:
    assert len(FINDS) >= 150
    assert len(HARMLESS) >= 100
    assert {kind for kind, _text in FINDS} == {"email", "phone", "iban", "card", "national_id", "ip", "secret"}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert find_pii(text) == []


@pytest.mark.parametrize("around", ["```python\n{}\n```", "# Title\n\n- {}\n", "> {}", "| a | {} |"])
@pytest.mark.parametrize("kind", ["email", "phone", "iban", "card", "national_id", "ip", "secret"])
def test_also_inside_code_lists_and_tables(kind: str, around: str) -> None:
    for found, text in FINDS:
        if found == kind:
            plain, _spans = marked(around.format(text))
            assert kind in {span.type for span in find_pii(plain)}, plain


def test_a_private_key_is_one_span_to_its_end() -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n" * 5
    text = f"key:\n-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\nthat is it"
    assert [text[span.start : span.end] for span in find_pii(text)] == [text[5:-11]]
    cut = text.partition("-----END")[0]
    assert find_pii(cut) == [Span("secret", 5, len(cut))]


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([f for f in FINDS if f[0] in ("card", "iban")]))
def test_offsets_are_those_of_the_original(before: str, after: str, find: tuple[str, str]) -> None:
    plain, ((start, end),) = marked(find[1])
    hidden = "\u200b".join(plain[start:end])
    text = f"{before} {hidden} {after}"
    for span in find_pii(text):
        assert 0 <= span.start < span.end <= len(text)
        if span.type == find[0]:
            assert (
                plain[start:end] in text[span.start : span.end].replace("\u200b", "") or span.start != len(before) + 1
            )


def test_marks_and_decomposed_letters_do_not_move_the_span() -> None:
    text = "Cafe\u0301 e\u0301te\u0301: «ju\u0308rgen@example.org», «e\u0301»tc."
    plain, spans = marked(text)
    assert find_pii(plain) == [Span("email", *spans[0])]


@given(st.text(max_size=300))
def test_any_text_gives_ordered_spans_that_do_not_overlap(text: str) -> None:
    spans = find_pii(text)
    assert all(a.end <= b.start for a, b in zip(spans, spans[1:], strict=False))
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


def test_random_numbers_that_nobody_owns() -> None:
    """Timestamps, hashes and identifiers of every kind, thousands of each: hardly one may be taken for a person's number."""
    chance = random.Random(7)
    moment = datetime(2001, 1, 1, tzinfo=UTC)
    kinds = {
        "seconds": lambda: str(chance.randrange(1_000_000_000, 1_800_000_000)),
        "milliseconds": lambda: str(chance.randrange(1_000_000_000_000, 1_800_000_000_000)),
        "iso": lambda: (moment + timedelta(seconds=chance.randrange(800_000_000))).isoformat(),
        "uuid": lambda: str(uuid.UUID(int=chance.getrandbits(128))),
        "sha256": lambda: sha256(str(chance.random()).encode()).hexdigest(),
        "md5": lambda: sha256(str(chance.random()).encode()).hexdigest()[:32],
        "float": lambda: repr(chance.random() * 10 ** chance.randrange(6)),
        "price": lambda: f"${chance.randrange(10**9):,}.{chance.randrange(100):02}",
        "version": lambda: "v" + ".".join(str(chance.randrange(40)) for _ in range(4)),
        "private": lambda: f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}",
        "ten digits": lambda: str(chance.randrange(10**9, 10**10)),
        "integers": lambda: " ".join(str(chance.randrange(1000)) for _ in range(12)),
    }
    for name, make in kinds.items():
        found = [text for text in (make() for _ in range(2000)) if find_pii(f"The value is {text} here")]
        assert found == [], name


def test_benchmark_prompts_and_answers() -> None:
    """Read by hand: of 872 prompts two hold data of real people; in 768 answers only mail addresses of examples are found."""
    prompts = [find_pii(text) for text in public_data.prompts()]
    assert sum(bool(spans) for spans in prompts) <= 2
    answers = [find_pii(text) for text in public_data.answers()]
    assert {span.type for spans in answers for span in spans} <= {"email"}
    assert sum(bool(spans) for spans in answers) <= 0.01 * len(answers)


HOSTILE = [
    "1",
    "1 ",
    "1-",
    "12 34 ",
    "1.",
    "+1",
    "(1) ",
    "a@",
    "a@b.",
    "a.",
    "@",
    "0",
    "A1",
    "AB12 1234 ",
    "sk-",
    "eyJa.",
    "token=",
    "://a:b",
    ":",
    "a:",
]
HOSTILE += [
    "-----BEGIN PRIVATE KEY-----",
    "tel 030 123456 ",
    "a at b dot ",
    "é",
    "1\u0301",
    "http://",
    "978-",
    "aB3",
    "1e",
    "2024-01-01T",
    "ISBN ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_bounded_time(unit: str) -> None:
    find_pii("tel 030 123456, SSN 536-90-4399, DE89 3704 0044 0532 0130 00")
    text = (unit * 100_000)[:100_000]
    start = time.process_time()
    find_pii(text)
    assert time.process_time() - start < 3.0


def test_what_is_too_much_to_check_counts_as_a_find() -> None:
    assert find_pii("a " * LONGEST)[-1] == Span("unchecked", LONGEST, 2 * LONGEST)
    many = "\n".join(f"tel {30_000_000 + 7919 * at}" for at in range(3 * MOST))
    start = time.process_time()
    spans = find_pii(many)
    assert spans[-1].type == "unchecked" and spans[-1].end == len(many)
    assert time.process_time() - start < 6.0
