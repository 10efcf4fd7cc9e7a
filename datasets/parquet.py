"""The Parquet side of a release: the one module that imports pyarrow, and only the long worker imports it.

The schema is written down, never inferred: an empty list or a column of nulls would otherwise change it from file to file. It is
LMSYS-Chat-1M's to the letter, float64 scores included: float32 would save about an eighth of the file, but code written for that
set compares schemas, and a score would no longer equal the one in the JSON beside it.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.rows import CATEGORIES

COMPRESSION, LEVEL = "zstd", 3
MESSAGE = pa.struct([("content", pa.string()), ("role", pa.string())])
MODERATION = pa.struct(
    [
        ("categories", pa.struct([(name, pa.bool_()) for name in CATEGORIES])),
        ("category_scores", pa.struct([(name, pa.float64()) for name in CATEGORIES])),
        ("flagged", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("conversation_id", pa.string()),
        ("model", pa.string()),
        ("conversation", pa.list_(MESSAGE)),
        ("turn", pa.int64()),
        ("language", pa.string()),
        ("openai_moderation", pa.list_(MODERATION)),
        ("redacted", pa.bool_()),
    ]
)


class ParquetFile:
    """One shard. Every `write` is one row group; `close` writes the footer, without which nothing can read the file."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(str(path), SCHEMA, compression=COMPRESSION, compression_level=LEVEL)

    def write(self, rows: list[dict[str, Any]]) -> int:
        """Write at least one row; returns the bytes that they take in memory, which is what dataset cards state."""
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        self._writer.write_table(table, row_group_size=len(rows))
        return int(table.nbytes)

    def close(self) -> None:
        self._writer.close()
