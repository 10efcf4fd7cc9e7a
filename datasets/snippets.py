"""How to get a release and load it, as code to copy. Tests take each text from the page and run it on downloaded files."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Snippet:
    """`key` names it on the page (data-snippet) and in the tests."""

    key: str
    title: str | Promise
    text: str


DOWNLOAD = """\
curl -fsSO {base}SHA256SUMS
cut -c 67- SHA256SUMS | while read -r path; do curl -fsS --create-dirs -o "$path" "{base}$path"; done
sha256sum -c SHA256SUMS"""

LOAD = {
    "pandas": """\
import pandas as pd

df = pd.read_parquet("data")
print(df.groupby("model").size())""",
    "polars": """\
import polars as pl

df = pl.scan_parquet("data/*.parquet")
print(df.group_by("model").len().collect())""",
    "duckdb": """\
import duckdb

print(duckdb.sql("SELECT model, count(*) FROM 'data/*.parquet' GROUP BY model"))""",
    "Hugging Face datasets": """\
from datasets import load_dataset

ds = load_dataset("parquet", data_files="data/*.parquet", split="train")
print(ds)""",
}


def of(base: str) -> list[Snippet]:
    """All snippets of the release at `base`, its absolute address with a slash at the end."""
    get = Snippet("download", _("Download everything and check it"), DOWNLOAD.format(base=base))
    return [get, *(Snippet(name.split()[0].lower(), name, text) for name, text in LOAD.items())]
