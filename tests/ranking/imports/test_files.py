"""Records of files: every kind gives the same votes with the right lines; what is broken is said where it is."""

import gzip
import json
import tracemalloc
from datetime import datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.imports import files, json_text, reading
from ranking.imports.row import BadFile, Problem
from tests.ranking.imports import samples
from tests.ranking.imports.samples import written

HEAD = "model_a,model_b,winner"
TABLE = (HEAD + "\n" + "a,b,tie\n" * 499).encode()  # 500 lines
CUT = gzip.compress(TABLE, mtime=0)[:-4]  # the text is whole, its end mark is not
DAMAGED = gzip.compress(TABLE, mtime=0)[:10] + b"\xff" * 40
LONG_NUMBER = b'{"n": ' + b"9" * 5000 + b"}"  # more digits than Python reads
VOTE = '{"model_a": "a", "model_b": "b", "winner": "tie"}'


def problems(path: Path, **how: object) -> list[str]:
    with pytest.raises(BadFile) as bad:
        list(reading.rows(path, **how))  # type: ignore[arg-type]
    return [str(problem) for problem in bad.value.problems]


@pytest.mark.parametrize("name", ["v.jsonl", "v.json", "v.ndjson", "v.jsonl.gz", "v.json.gz", "v.parquet"])
def test_every_kind_of_file_gives_the_same_votes(name: str, tmp_path: Path) -> None:
    found = list(reading.rows(written(tmp_path, name, samples.LMSYS)))
    assert [row._replace(line=0) for row in found] == [
        row._replace(line=0) for row in reading.rows(written(tmp_path, "plain.jsonl", samples.LMSYS))
    ]


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz", "v.tsv"])
def test_tables(name: str, tmp_path: Path) -> None:
    text = samples.PLAIN.replace(",", "\t") if ".tsv" in name else samples.PLAIN
    assert [row.choice for row in reading.rows(written(tmp_path, name, text))] == ["a", "both_bad"]


def test_lines_of_an_array_are_where_its_elements_begin(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text('\n[\n {"a": 1,\n "b": 2}\n,\n\n{"a": 3}, {"a": 4}\n]\n')
    assert [(line, record) for line, record in files.records(path, ())] == [
        (3, {"a": 1, "b": 2}), (7, {"a": 3}), (7, {"a": 4}),
    ]  # fmt: skip


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text() | st.integers() | st.lists(st.booleans())), max_size=6),
    st.integers(1, 9), st.sampled_from([None, 1]),
)  # fmt: skip
def test_an_array_is_read_the_same_however_it_is_cut(elements: list[dict], chunk: int, indent: int | None) -> None:
    import io

    before = json_text.CHUNK
    json_text.CHUNK = chunk
    try:
        found = list(json_text.either(io.StringIO("\n" + json.dumps(elements, indent=indent) + "\n")))
        as_lines = list(json_text.lines(io.StringIO("".join(json.dumps(one) + "\r\n" for one in elements)), ""))
    finally:
        json_text.CHUNK = before
    assert [record for _line, record in found] == [record for _line, record in as_lines] == elements
    assert [line for line, _record in as_lines] == list(range(1, len(elements) + 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "line 1: the array is not closed"),
        (f"[{VOTE}\n{VOTE}]", "line 2: expected a comma"),
        (f"[{VOTE}, ", "line 1: the array is not closed"),
        (f"[{VOTE},]", "line 1: not JSON"),
        ('[{"model_a": "x" "b"}]', "line 1: not JSON"),
        ("[] []", "line 1: there is text after the array"),
        ("[]", "there is no vote in the file"),
        ("", "there is no vote in the file"),
        ("7", "line 1: expected a JSON object"),
        ("[3]", "line 1: expected a JSON object"),
    ],
)
def test_broken_json_is_said_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(text)
    assert any(problem.startswith(said) for problem in problems(path)), problems(path)


def test_all_problems_are_told_up_to_the_stated_number_and_then_it_stops(tmp_path: Path) -> None:
    lines = [HEAD, "a,b,tie", "a,a,tie", "a,b,left", "a,b", "a,b,model_a,x", "c,d,tie", ",b,tie"]
    path = written(tmp_path, "v.csv", "\n".join(lines))
    assert [problem.partition(":")[0] for problem in problems(path)] == [
        "line 3",
        "line 4",
        "line 5",
        "line 6",
        "line 8",
    ]
    assert len(problems(path, most=2)) == 2
    with pytest.raises(BadFile) as bad:
        list(reading.rows(path, most=2))
    assert bad.value.more
    handed_out = []
    with pytest.raises(BadFile):
        handed_out.extend(reading.rows(path))
    assert [row.line for row in handed_out] == [2], "after the first problem nothing is handed out"


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "v.csv", f"id,{HEAD}\n1,a,b,tie\n2,a,b,tie\n1,a,b,model_a\n")
    assert problems(path) == ["line 4: the id '1' came before"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("v.csv", b"model_a,winner\na,tie\n", "line 2: columns are missing; expected"),
        ("v.csv", b"model_a,model_a,winner\na,b,tie\n", "line 1: the column 'model_a' stands twice"),
        ("v.csv", b'model_a,model_b,winner\na,b,"tie\n', "line 2: not readable as a table"),
        ("v.csv", b"model_a,model_b,winner\na,b,\xff\n", "line 2: the file is not UTF-8 text"),
        ("v.jsonl", f"{VOTE}\n{VOTE}\n".encode() + b"\xff\n", "line 3: the file is not UTF-8 text"),
        ("v.csv.gz", gzip.compress(HEAD.encode() * 500, mtime=0)[:-12], "line 1: the file is cut off or no gzip"),
        ("v.csv.gz", CUT, "line 501: the file is cut off or no gzip"),
        ("v.csv.gz", DAMAGED, "the file is cut off or no gzip: Error -3"),
        ("v.jsonl", LONG_NUMBER, "line 1: not JSON"),
        ("v.json", b"[" + LONG_NUMBER + b"]", "line 1: not JSON"),
        ("v.csv.gz", b"plain", "the file is cut off or no gzip"),
        ("v.xls", b"", "v.xls: expected a name that ends in"),
        ("v.parquet.gz", b"", "v.parquet.gz: expected a name"),
        ("v.parquet", b"no", "not readable as Parquet"),
        ("v.csv", b"", "there is no vote in the file"),
        ("v.csv", b"model_a,model_b,winner\n", "there is no vote in the file"),
    ],
)
def test_files_that_cannot_be_read_say_why(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (problem,) = problems(tmp_path / name)
    assert problem.startswith(said)


def test_a_byte_order_mark_and_dos_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEAD}\r\na,b,tie\r\n\r\na,c,model_b\r\n".encode())
    assert [(row.line, row.choice) for row in reading.rows(path)] == [(2, "tie"), (4, "b")]
    path.write_text(f"\n\n{HEAD}\na,b,tie\n")
    assert [(row.line, row.choice) for row in reading.rows(path)] == [(4, "tie")]


def test_a_line_or_field_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "LONGEST", 100)
    monkeypatch.setattr(json_text, "CHUNK", 10)
    monkeypatch.setattr(files, "LONGEST", 100)
    for name, text in (
        ("v.jsonl", '{"a": "' + "x" * 200),
        ("v.json", '[{"a": "' + "x" * 2000),
        ("v.csv", f"{HEAD}\n{'x' * 200},b,tie"),
    ):
        path = tmp_path / name
        path.write_text(text)
        assert len(problems(path)) == 1, name


def test_parquet_reads_only_the_columns_that_are_used(tmp_path: Path) -> None:
    path = written(tmp_path, "v.parquet", samples.LMSYS)
    (_number, record), *_rest = files.records(path, ("model_a", "winner", "not there"))
    assert not isinstance(record, Problem) and set(record) == {"model_a", "winner"}


def test_an_id_that_reads_like_a_line_is_refused(tmp_path: Path) -> None:
    """A vote without an id is known by its line, so two votes would have one name."""
    path = written(tmp_path, "v.csv", f"id,{HEAD}\nline 3,a,b,tie\n,a,b,tie\nline up,a,b,tie\n")
    assert problems(path) == ["line 2: the id 'line 3' is how votes without one are named"]


def test_names_in_columns_of_bytes_are_text_and_never_their_python_spelling(tmp_path: Path) -> None:
    """Some writers do not mark strings as text: b'x' must not become the model "b'x'"."""

    def wrote(*names: bytes) -> Path:
        columns = {"model_a": list(names), "model_b": [b"y"] * len(names), "winner": [b"tie"] * len(names)}
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "v.parquet")
        return tmp_path / "v.parquet"

    (row,) = reading.rows(wrote("é".encode()))
    assert (row.model_a, row.model_b, row.choice) == ("é", "y", "tie")
    assert problems(wrote(b"x", b"\xff")) == ["line 2: model_a is b'\\xff', which is not UTF-8 text"]


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    columns = (
        [pyarrow.array([value]) for value in ("x", "z", "y", "tie")],
        ["model_a", "model_a", "model_b", "winner"],
    )
    pyarrow.parquet.write_table(pyarrow.table(columns[0], names=columns[1]), tmp_path / "v.parquet")
    assert problems(tmp_path / "v.parquet") == ["the column 'model_a' stands twice in the header"]


def test_what_python_cannot_hold_is_the_problem_of_its_row(tmp_path: Path) -> None:
    votes = {"model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": ["tie"] * 3}
    far = pyarrow.array([1_700_000_000_000_000, 2**62, 1_700_000_000_000_000], pyarrow.timestamp("us"))
    pyarrow.parquet.write_table(pyarrow.table(votes | {"at": far}), tmp_path / "v.parquet")
    assert problems(tmp_path / "v.parquet") == ["line 2: not readable: date value out of range"]
    offsets = pyarrow.array([0, 1, 2, 3], pyarrow.int32()).buffers()[1]
    names = pyarrow.Array.from_buffers(pyarrow.string(), 3, [None, offsets, pyarrow.py_buffer(b"ab\xff")])
    pyarrow.parquet.write_table(pyarrow.table(votes | {"model_a": names}), tmp_path / "w.parquet")
    (said,) = problems(tmp_path / "w.parquet")
    assert said.startswith("line 3: not readable: 'utf-8' codec can't decode byte 0xff")


def test_nanoseconds_need_no_pandas(tmp_path: Path) -> None:
    at = pyarrow.array([1742315940550000123, None], pyarrow.timestamp("ns", "Europe/Paris"))
    votes = {"model_a": ["x"] * 2, "model_b": ["y"] * 2, "winner": ["tie"] * 2, "at": at}
    pyarrow.parquet.write_table(pyarrow.table(votes), tmp_path / "v.parquet")
    known, unknown = reading.rows(tmp_path / "v.parquet")
    assert known.at and type(known.at) is datetime and known.at.microsecond == 550000 and unknown.at is None


def test_a_line_that_unpacks_to_more_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST", 1 << 20)
    for name in ("v.csv.gz", "v.tsv.gz"):
        with gzip.open(tmp_path / name, "wb", 1) as packed:
            packed.write(f"{HEAD}\n".encode())
            for _ in range(200):
                packed.write(b"x" * (1 << 20))
        tracemalloc.start()
        assert problems(tmp_path / name) == [f"line 2: the line has more than {1 << 20} characters"]
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
        tracemalloc.stop()
