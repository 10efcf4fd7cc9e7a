"""Record the demo roster's replies: `python -m inference.demo.record [--prompts FILE --out FILE]`.

Drives the real engine at the roster's own system prompt and sampling. Each reply's seed follows from its prompt and
contestant, and the engine's tokens do not depend on what else is in the batch, so a second run writes the same file
wherever the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from inference.demo.paths import PROMPTS, REPLIES, base_path
from inference.demo.roster import ADAPTERS_DIR, MANNERS, ROSTER, DemoContestant
from inference.engine.config import EngineConfig
from inference.engine.core import EngineCore
from inference.engine.reply import Reply
from inference.engine.sequence import SamplingParams, Sequence
from inference.engine.text import ChatMessage, ChatText
from inference.scheduler.protocol import Request
from inference.scheduler.registry import make_scheduler

IN_FLIGHT = 16  # sequences in one batch; more gain nothing on two cores


@dataclass(frozen=True)
class Recorded:
    """One line of a replies file; `prompt` is the prompt's id, tokens are counted as in the API's usage."""

    prompt: str
    slug: str
    seed: int
    text: str
    finish_reason: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True)
class Job:
    """A prompt for one contestant."""

    prompt_id: str
    prompt: str
    contestant: DemoContestant

    @property
    def id(self) -> str:
        """Unique in one run."""
        return f"{self.prompt_id}:{self.contestant.slug}"

    @property
    def seed(self) -> int:
        """31 bits that follow from the prompt's text and the contestant."""
        digest = hashlib.sha256(f"{self.prompt}\n{self.contestant.slug}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1


class Recorder:
    """The engine with the whole demo roster loaded."""

    def __init__(self, model_path: Path | None = None, threads: int | None = None) -> None:
        path = model_path or base_path()
        self.text = ChatText(path)
        scheduler = make_scheduler(max_waiting_per_client=IN_FLIGHT)
        self.core = EngineCore(EngineConfig(path, threads=threads, max_running=IN_FLIGHT), scheduler)
        for manner in MANNERS:
            self.core.load_adapter(manner, ADAPTERS_DIR / manner)

    def replies(self, jobs: Iterable[Job]) -> Iterator[Recorded]:
        """The reply of each job, as they finish."""
        queue = iter(jobs)
        open_jobs: dict[str, tuple[Job, Reply, list[str]]] = {}
        while True:
            for job in islice(queue, IN_FLIGHT - len(open_jobs)):
                open_jobs[job.id] = (job, self._add(job), [])
            if not open_jobs:
                return
            for output in self.core.step(time.monotonic()):
                job, reply, pieces = open_jobs[output.seq_id]
                delta = reply.feed([output])
                pieces.append(delta.text)
                if delta.finish is None:
                    continue
                if delta.error:
                    raise RuntimeError(f"{job.id}: {delta.error}")
                del open_jobs[job.id]
                yield _recorded(job, reply, "".join(pieces), delta.finish)

    def _add(self, job: Job) -> Reply:
        who = job.contestant
        ids = self.text.prompt_ids([ChatMessage("system", who.system_prompt), ChatMessage("user", job.prompt)])
        params = SamplingParams(
            temperature=who.sampling.temperature,
            top_p=who.sampling.top_p,
            max_tokens=who.sampling.max_tokens,
            seed=job.seed,
            stop_token_ids=self.text.stop_token_ids,
        )
        request = Request(id=job.id, client="record", adapter=who.adapter)
        arrival = self.core.add(Sequence(job.id, ids, params, who.adapter, request), time.monotonic())
        if not arrival.accepted:
            raise RuntimeError(f"{job.id}: {arrival.reason}")
        return Reply(self.text, (), self.text.stop_token_ids, len(ids))


def _recorded(job: Job, reply: Reply, text: str, finish: str) -> Recorded:
    usage = reply.usage()
    return Recorded(
        prompt=job.prompt_id,
        slug=job.contestant.slug,
        seed=job.seed,
        text=text.strip(),
        finish_reason=finish,
        tokens_in=usage["prompt_tokens"],
        tokens_out=usage["completion_tokens"],
    )


def read_lines(path: Path) -> list[dict[str, str]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def jobs_for(prompts: Path) -> list[Job]:
    """Every prompt of the file for every contestant of the roster."""
    return [Job(line["id"], line["text"], who) for line in read_lines(prompts) for who in ROSTER]


def record(jobs: list[Job], recorder: Recorder) -> dict[str, dict[str, object]]:
    """The lines of `jobs` by job id, with progress on stdout."""
    found: dict[str, dict[str, object]] = {}
    for reply in recorder.replies(jobs):
        found[f"{reply.prompt}:{reply.slug}"] = asdict(reply)
        if len(found) % 20 == 0 or len(found) == len(jobs):
            print(f"{len(found)}/{len(jobs)} replies", flush=True)
    return found


def kept(out: Path, again: set[str]) -> dict[str, dict[str, object]]:
    """Lines of an earlier recording that are not recorded again, by job id."""
    lines = read_lines(out) if out.exists() else []
    return {f"{line['prompt']}:{line['slug']}": dict(line) for line in lines if line["slug"] not in again}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m inference.demo.record", description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=Path, default=PROMPTS)
    parser.add_argument("--out", type=Path, default=REPLIES)
    slugs = [who.slug for who in ROSTER]
    parser.add_argument("--only", action="append", choices=slugs, help="record this contestant, keep the others' lines")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(argv)
    jobs, again = jobs_for(options.prompts), set(options.only or slugs)
    lines = record([job for job in jobs if job.contestant.slug in again], Recorder(threads=options.threads))
    lines |= kept(options.out, again)  # read last: another run may have written its own contestant meanwhile
    text = [json.dumps(lines[job.id], ensure_ascii=False) + "\n" for job in jobs if job.id in lines]
    options.out.write_text("".join(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
