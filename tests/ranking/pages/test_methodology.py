"""The methodology explains every name that a board, a download or the API has, and names only files that exist."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.test import Client

from ranking.board import board_format
from ranking.pages import downloads, ledger_page, sure
from ranking.pages.methodology import ANCHORS
from ranking.pages.published import PUBLIC
from tests.ranking.publishing import text

PROJECT = Path(__file__).parents[3]
NAMES = {
    *(one.name for one in fields(board_format.Model)),
    *board_format.FIGURES,
    *PUBLIC,
    *downloads.CSV_COLUMNS,
    *downloads.PAIRS.values(),
    *ledger_page.CSV_COLUMNS,
}
WORDS = {  # sections that explain a rule or a word, not a number
    *(
        "battle",
        "counts",
        "judges",
        "categories",
        "imports",
        "unranked",
        "helped",
        "quantiles",
        "history",
        "abuse",
        "log",
    ),
    *("service", "published", "codenames", "demo", "names", "first-rate"),
}


@pytest.fixture
def page(client: Client, db: None) -> str:
    return text(client, "/methodology")


@pytest.fixture
def anchors(page: str) -> set[str]:
    return set(re.findall(r'<h2 id="([a-z0-9-]+)"', page))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_figure_has_an_anchor(name: str, anchors: set[str]) -> None:
    assert ANCHORS[name] in anchors


def test_every_number_has_its_formula(page: str, anchors: set[str]) -> None:
    sections = re.findall(r'<h2 id="([a-z0-9-]+)">(.*?)(?=<h2 |</article>)', page, re.DOTALL)
    assert {anchor for anchor, section in sections if "<pre>" in section} == anchors - WORDS


def test_every_anchor_that_names_point_at_is_there_once(page: str, anchors: set[str]) -> None:
    assert set(ANCHORS.values()) <= anchors
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(f'href="#{anchor}"' in page and f">{name}</code>" in page for name, anchor in ANCHORS.items())


def test_every_link_to_the_methodology_arrives(anchors: set[str]) -> None:
    sources = [path.read_text() for path in (PROJECT / "templates").rglob("*.html")]
    linked = {anchor for source in sources for anchor in re.findall(r"'methodology' %}#([a-z-]+)", source)}
    assert len(linked) > 12 and linked <= anchors, linked - anchors


def test_every_sentence_of_how_sure_we_are_is_explained(anchors: set[str]) -> None:
    made = set(re.findall(r'Sentence\("([a-z-]+)"', Path(sure.__file__).read_text()))
    assert len(made) == len(sure.MAKERS) and made <= anchors


def test_every_section_names_files_and_all_of_them_exist(page: str) -> None:
    paths = set(re.findall(r"<code>([a-z_/]+(?:\.py|/))</code>", page))
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (PROJECT / path).exists()] == []
    sections = page.split('<h2 id="')[1:]
    assert [part[:20] for part in sections if "<code>" not in part] == []


def test_every_estimator_with_a_published_source_is_named(page: str) -> None:
    unseen = {"reliability", "priors"}  # methods of the library that no page shows
    sources = {
        path.stem: path.read_text().split('"""')[1]
        for path in (PROJECT / "ranking/estimators").glob("*.py")
        if path.stat().st_size
    }
    cited = {name for name, header in sources.items() if re.search(r"arXiv|\b(19|20)\d\d\b", header)} - unseen
    assert len(cited) > 15
    assert {name for name in cited if f"ranking/estimators/{name}.py" not in page} == set()
