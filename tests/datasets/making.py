"""Releases, made by the job itself in the test's process."""

import gzip
import json
from pathlib import Path
from typing import Any

from arena.models import Job
from datasets import export, releases, storage
from datasets.models import Release


def make(name: str = "first") -> Release:
    """Start a release and run its job, whatever comes of it."""
    release = releases.start(name, None)
    assert release.job_id is not None
    export.run(release.job_id)
    release.refresh_from_db()
    return release


def job(release: Release) -> Job:
    return Job.objects.get(pk=release.job_id)


def data(release: Release) -> list[Path]:
    """The data files of a published release, Parquet first."""
    home = storage.home(release.name)
    return sorted(home.glob("data/*")) + sorted(home.glob("jsonl/*"))


def jsonl(release: Release) -> list[dict[str, Any]]:
    """All rows, read with nothing but the standard library, in the order of the files."""
    rows = []
    for path in sorted(storage.home(release.name).glob("jsonl/*.jsonl.gz")):
        rows += [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]
    return rows
