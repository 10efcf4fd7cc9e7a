"""A bag-of-words reader tells the four demo contestants apart by how they answer prompts that nobody has seen.

`replies_unseen.jsonl` is recorded by `python -m inference.demo.record --prompts tests/inference/demo/unseen_prompts.jsonl
--out tests/inference/demo/replies_unseen.jsonl`; the reader learns from the replies to the demo prompts.
"""

from collections import defaultdict
from pathlib import Path

import pytest

from inference.demo.paths import REPLIES
from inference.demo.record import Recorder, jobs_for, read_lines
from inference.demo.roster import ROSTER
from tests.inference.demo.bag_of_words import BagOfWords, bag

HERE = Path(__file__).parent
UNSEEN, UNSEEN_REPLIES = HERE / "unseen_prompts.jsonl", HERE / "replies_unseen.jsonl"
WANTED = 0.80
SAMPLE = ("u003", "u012", "u032")  # the base model's replies to these are short, which keeps the test so


@pytest.fixture(scope="module")
def reader() -> BagOfWords:
    lines = read_lines(REPLIES)
    return BagOfWords([line["text"] for line in lines], [line["slug"] for line in lines])


def test_the_reader_reads():
    """Known answers."""
    reader = BagOfWords(["arr arr sea", "why? why?", "why? what?"], ["pirate", "socratic", "socratic"])
    assert reader.predict("arr, the sea") == "pirate"
    assert reader.predict("but why?") == "socratic"
    assert reader.predict("zebra arr zebra") == reader.predict("arr")  # unknown words decide nothing
    assert bag("Arr, 42?") == {"arr": 1, ",": 1, "4": 1, "2": 1, "?": 1}


def test_four_manners_are_told_apart_on_unseen_prompts(reader):
    lines = read_lines(UNSEEN_REPLIES)
    assert len(lines) == 40 * len(ROSTER)
    assert len({(line["prompt"], line["slug"]) for line in lines}) == len(lines)
    assert reader.accuracy([line["text"] for line in lines], [line["slug"] for line in lines]) >= WANTED


def test_each_manner_alone_is_recognised(reader):
    """No contestant hides behind the other three."""
    texts = defaultdict(list)
    for line in read_lines(UNSEEN_REPLIES):
        texts[line["slug"]].append(line["text"])
    for slug, found in texts.items():
        assert reader.accuracy(found, [slug] * len(found)) >= 0.70, slug


@pytest.mark.demo_model
@pytest.mark.slow
def test_the_engine_still_speaks_in_these_manners(demo_model, reader):
    """A sample of the recording again, through the real engine with the committed adapters."""
    recorded = {f"{line['prompt']}:{line['slug']}": line["text"] for line in read_lines(UNSEEN_REPLIES)}
    jobs = [job for job in jobs_for(UNSEEN) if job.prompt_id in SAMPLE]
    found = {f"{reply.prompt}:{reply.slug}": reply.text for reply in Recorder(demo_model, threads=1).replies(jobs)}
    assert len(found) == 12
    slugs = [key.partition(":")[2] for key in found]
    same = sum(found[key] == recorded[key] for key in found)
    # Another CPU may round a near tie the other way; then the text differs and the manner must still show.
    assert same == len(found) or reader.accuracy(list(found.values()), slugs) >= WANTED
