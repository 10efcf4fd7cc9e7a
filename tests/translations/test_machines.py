"""What machines read is the same in every language: files, interfaces, drawings. A comma in a coordinate is two numbers."""

import csv
import io
import json
import re

import pytest
import yaml
from django.test import Client
from django.utils.translation import override

from datasets import card
from datasets.models import Release
from tests.ranking import publishing as boards

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture
def german() -> Client:
    boards.publish((1900, 1101), (600, 401))
    return Client(headers={"Accept-Language": "de"})


def test_the_csv_of_the_board_has_points(german: Client) -> None:
    rows = list(csv.DictReader(io.StringIO(german.get("/leaderboard.csv").content.decode())))
    assert len(rows) == 3 and all(float(row["rating"]) and int(row["votes"]) > 999 for row in rows[:2])


@pytest.mark.parametrize("address", ["/leaderboard.json", "/api/v1/leaderboard"])
def test_json_is_the_same_in_every_language(german: Client, address: str) -> None:
    assert json.loads(german.get(address).content) == json.loads(Client().get(address).content)


def test_drawings_have_points(german: Client) -> None:
    html = german.get("/leaderboard").content.decode()
    drawn = re.findall(r'\s(?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|viewBox)="([^"]*)"', html)
    assert len(drawn) > 50 and not [value for value in drawn if "," in value]
    assert "4.006 Stimmen" in html  # what people read is grouped, the German way


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_front_matter_of_a_releases_card_is_yaml_with_plain_numbers(language: str) -> None:
    facts = {
        "models": {"M": 1234567},
        "languages": {"English": 1},
        "passed_by": {},
        "bytes": 12345678,
        "input": 2345678,
    }
    release = Release(name="first", conversations=1234567, messages=7654321, facts=facts, licence="CC0", policy="1")
    with override(language):
        text = card.readme(release, 98765432)
    info = yaml.safe_load(text.split("---\n")[1])["dataset_info"]
    assert info["splits"][0] == {"name": "train", "num_bytes": 12345678, "num_examples": 1234567}
    assert info["download_size"] == 98765432
    assert "1,234,567 conversations" in text
