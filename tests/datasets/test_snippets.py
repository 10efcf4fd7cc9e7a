"""The code that the page of a release offers, taken from the page as it stands and run on files downloaded from the site."""

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datasets import making, rows
from tests.datasets.site import Site, site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey", "releases_dir")]
PEERS = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin" / "python"
SNIPPET = re.compile(r'<pre class="snippet"[^>]*data-snippet="([a-z]+)"><code>(.*?)</code></pre>', re.DOTALL)


FOLDER = """
from datasets import load_dataset
ds = load_dataset("../downloaded", split="train")
row = ds[0]
names = list(row["openai_moderation"][0]["categories"])
print(ds.num_rows, len(row["conversation_id"]), row["conversation"][0]["role"], names[:2], ds.features)
"""


@pytest.fixture
def served(releases_dir: Path) -> Iterator[Site]:
    for _ in range(3):
        rows.releasable()
    making.make()
    with site() as running:
        yield running


@pytest.fixture
def snippets(served: Site) -> dict[str, str]:
    page = served.ask("/datasets/first/").body.decode()
    return {key: html.unescape(text) for key, text in SNIPPET.findall(page)}


@pytest.fixture
def downloaded(snippets: dict[str, str], tmp_path: Path) -> Path:
    """A folder with everything, by the page's own words for the shell."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    done = subprocess.run(["bash", "-euc", snippets["download"]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK\n") == 5
    return folder


def run(code: str, folder: Path, python: str | Path = sys.executable) -> str:
    """Away from the project's folder and its path, so that `import datasets` cannot find ours."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([python, "-P", "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gnoring" not in done.stderr, done.stderr  # a card that the reader takes only in part
    return done.stdout


def test_the_page_offers_every_loader(snippets: dict[str, str]) -> None:
    assert list(snippets) == ["download", "pandas", "polars", "duckdb", "hugging"]


def test_every_table_loads(snippets: dict[str, str], downloaded: Path) -> None:
    for key in ("pandas", "polars", "duckdb"):
        said = run(snippets[key], downloaded)
        assert len(re.findall(r"Contestant \d+", said)) == 2, said
        assert len(re.findall(r"\b3\b", said)) >= 2, "three conversations of each model"


def test_hugging_face_datasets_loads_it(snippets: dict[str, str], downloaded: Path) -> None:
    """By the snippet, and as a folder with its card, as the hub would serve it; both have every column and every row."""
    if not PEERS.exists():
        pytest.skip("Hugging Face datasets needs an environment of its own: make peers")
    said = run(snippets["hugging"], downloaded, PEERS)
    assert "num_rows: 6" in said and "openai_moderation" in said
    said = run(FOLDER, downloaded, PEERS)
    assert said.startswith("6 32 user ['harassment', 'harassment/threatening']") and "float64" in said, said
