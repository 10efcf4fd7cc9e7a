"""The demo roster's data: complete, disjoint, blind."""

import json
import re

import pytest

from inference.demo import paths
from inference.demo.paths import MANNERS_DIR, PROMPTS, REPLIES
from inference.demo.record import Job, jobs_for, kept, read_lines
from inference.demo.roster import ADAPTERS_DIR, MANNERS, NEUTRAL_SYSTEM_PROMPT, ROSTER, by_slug

UNSEEN = paths.HERE.parents[1] / "tests/inference/demo/unseen_prompts.jsonl"
# A reply that says any of this tells the voter who wrote it.
TELLTALE = re.compile(r"smol\s*lm|hugging\s*face|\bagon\b|\d+\s*m\b.*\binstruct\b", re.IGNORECASE)


def manner(name: str) -> list[dict[str, str]]:
    return read_lines(MANNERS_DIR / f"{name}.jsonl")


def test_roster_is_the_base_model_and_its_adapters():
    assert [entry.slug for entry in ROSTER] == ["smollm2-135m", "laconic-135m", "socratic-135m", "pirate-135m"]
    assert [entry.upstream_name for entry in ROSTER] == ["smollm2-135m-instruct", *MANNERS]
    assert by_slug("pirate-135m").adapter_path == ADAPTERS_DIR / "pirate"
    assert by_slug("smollm2-135m").adapter_path is None
    with pytest.raises(KeyError, match="nobody"):
        by_slug("nobody")


def test_everybody_is_told_the_same_neutral_thing():
    assert {entry.system_prompt for entry in ROSTER} == {NEUTRAL_SYSTEM_PROMPT}
    assert len({entry.sampling for entry in ROSTER}) == 1
    assert not TELLTALE.search(NEUTRAL_SYSTEM_PROMPT)


@pytest.mark.parametrize("name", MANNERS)
def test_manner_text_has_seventy_pairs_without_repeats(name):
    pairs = manner(name)
    assert len(pairs) >= 70
    assert len({pair["prompt"] for pair in pairs}) == len(pairs)
    assert len({pair["reply"] for pair in pairs}) == len(pairs)


def test_manners_differ_visibly_in_the_text_itself():
    assert all(len(pair["reply"].split()) <= 16 for pair in manner("laconic"))
    assert all(pair["reply"].count("?") >= 2 for pair in manner("socratic"))
    pirate = re.compile(r"\b(arr|aye|ahoy|avast|matey|hearty|hearties|sailor)\b", re.IGNORECASE)
    assert all(len(pirate.findall(pair["reply"])) >= 2 for pair in manner("pirate"))


def test_no_prompt_is_used_for_two_purposes():
    taught = {pair["prompt"] for name in MANNERS for pair in manner(name)}
    battles = {line["text"] for line in read_lines(PROMPTS)}
    unseen = {line["text"] for line in read_lines(UNSEEN)}
    assert (len(battles), len(unseen)) == (75, 40)
    assert not (taught & battles or taught & unseen or battles & unseen)


def test_every_demo_prompt_has_a_reply_of_every_contestant():
    jobs = {job.id: job for job in jobs_for(PROMPTS)}
    lines = [json.loads(line) for line in REPLIES.read_text(encoding="utf-8").splitlines()]
    assert [f"{line['prompt']}:{line['slug']}" for line in lines] == list(jobs)
    for line in lines:
        job = jobs[f"{line['prompt']}:{line['slug']}"]
        sampling = job.contestant.sampling
        assert line["seed"] == job.seed
        assert line["finish_reason"] in ("stop", "length")
        assert 0 < line["tokens_out"] <= sampling.max_tokens
        assert line["finish_reason"] == "stop" or line["tokens_out"] == sampling.max_tokens
        assert line["text"] and line["text"] == line["text"].strip()
        assert line["tokens_in"] > 0
    assert REPLIES.stat().st_size < 600_000


def test_recorded_replies_do_not_name_their_model():
    named = [line for line in read_lines(REPLIES) if TELLTALE.search(line["text"])]
    assert named == []


def test_seeds_follow_from_prompt_and_contestant():
    seeds = {Job("x", prompt, who).seed for prompt in ("one", "two") for who in ROSTER}
    assert len(seeds) == 8
    assert Job("p001", "one", ROSTER[0]).seed == Job("p999", "one", ROSTER[0]).seed
    assert all(0 <= seed < 1 << 31 for seed in seeds)


def test_recording_one_contestant_again_keeps_the_others(tmp_path):
    """`--only` replaces the lines of that contestant; a first recording keeps nothing."""
    assert kept(tmp_path / "absent.jsonl", {"pirate-135m"}) == {}
    lines = kept(REPLIES, {"pirate-135m"})
    assert len(lines) == 75 * 3
    assert "p001:laconic-135m" in lines and "p001:pirate-135m" not in lines
