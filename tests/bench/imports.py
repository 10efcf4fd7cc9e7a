"""`make bench NAME=imports`: votes into the database and out of it, on the embedded PostgreSQL (here without syncing to disk).

- import_rows_per_s: `manage.py import_votes` of a CSV with judges, language and style, its counts made.
- import_rss_mb: the largest size of this process until then.
- style_read_s: those votes with their style, streamed into the columns that style control fits.
- absorb_events_per_s: EVENTS live votes in two categories, absorbed in batches of AGON_ABSORB_BATCH.
- relabel_s: counts of the import made again, as after import_labels.
Seconds are wall time. `--smoke` takes a thousandth.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.db import connection, connections  # noqa: E402

from arena import voiding  # noqa: E402
from arena.embedded import lifecycle  # noqa: E402
from arena.models import Contestant, VoteEvent  # noqa: E402
from ranking import counts  # noqa: E402
from ranking.fits import reading_style, streams  # noqa: E402
from ranking.fits.boards import Key  # noqa: E402
from ranking.imports import importing, label_files  # noqa: E402
from ranking.models import VoteImport  # noqa: E402

ROWS, EVENTS, MODELS, JUDGES = 200_000, 20_000, 100, 20_000
SEED = 20261126
STYLE = "chars_a,chars_b,headers_a,headers_b,lists_a,lists_b,bold_a,bold_b"
Result = TypeVar("Result")


def votes(path: Path, rows: int) -> None:
    rng = random.Random(SEED)
    winners = ("model_a", "model_b", "tie", "both_bad")
    with path.open("w") as out:
        out.write(f"id,model_a,model_b,winner,judge,language,{STYLE}\n")
        for i in range(rows):
            a, b = rng.sample(range(MODELS), 2)
            sizes = ",".join(str(rng.randrange(3000)) for _ in range(8))
            out.write(f"v{i},m{a},m{b},{rng.choice(winners)},j{rng.randrange(JUDGES)},en,{sizes}\n")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    begun = time.monotonic()
    result = work()
    return result, time.monotonic() - begun


def absorbed(events: int) -> float:
    """Votes without battles: only the counting is measured."""
    a, b = (Contestant.objects.create(name=name, slug=name, organisation="o") for name in ("one", "two"))
    VoteEvent.objects.bulk_create(
        (
            VoteEvent(contestant_a=a, contestant_b=b, choice="a", judge=f"j{i % 500}", categories=["code", "english"])
            for i in range(events)
        ),
        batch_size=2000,
    )
    done, seconds = timed(counts.absorb)
    assert done == events
    return events / seconds


def measured(folder: Path, rows: int, events: int) -> dict[str, float]:
    path, labels = folder / "votes.csv", folder / "labels.csv"
    votes(path, rows)
    made, seconds = timed(lambda: importing.import_votes(path))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    models = [str(pk) for pk in Contestant.objects.filter(origin=made.origin).values_list("pk", flat=True)]
    styled = streams.styled(Key(made.origin), models, rows)
    (_tally, _judges, read, _digest), reading = timed(lambda: reading_style.gathered(styled, models))
    assert read.total == rows == VoteImport.objects.get().counted
    labels.write_text("vote,labels\nv0,math\n")
    _labelled, relabelling = timed(lambda: label_files.label_import(labels, made))
    return {
        "rows": rows,
        "import_rows_per_s": round(rows / seconds),
        "import_rss_mb": round(rss),
        "style_read_s": round(reading, 2),
        "relabel_s": round(relabelling, 2),
        "absorb_events_per_s": round(absorbed(events)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--smoke", action="store_true", help="a thousandth of the votes")
    options = parser.parse_args()
    rows = options.rows // 1000 if options.smoke else options.rows
    voiding.app.send_task = lambda *_, **__: None  # no broker here
    with lifecycle.running(durable=False), tempfile.TemporaryDirectory() as folder:
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            figures = measured(Path(folder), rows, EVENTS // 1000 if options.smoke else EVENTS)
        finally:
            connections.close_all()
    json.dump(figures, sys.stdout)
    print()


if __name__ == "__main__":
    main()
