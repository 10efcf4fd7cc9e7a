"""Votes with style counts, read once: the tally, the judges and the compact rows that style control fits."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ranking.estimators import style_rows
from ranking.estimators.judges import JudgeTally
from ranking.estimators.style_rows import Chunk, Rows
from ranking.estimators.tally import Tally
from ranking.fits.streams import FEATURES

COLUMNS = {"a": np.int32, "b": np.int32, "outcome": np.int8, "judge": np.int64}


def gathered(records: Iterable[Any], models: Sequence[str]) -> tuple[Tally, JudgeTally, Rows, bytes]:
    """Records of `streams.styled` -> the same votes as cells, by judge and as rows, and a digest of them all."""
    kept: list[list[np.ndarray]] = []
    digest = hashlib.sha256()

    def chunks() -> Iterable[Chunk]:
        for part in records:
            digest.update(part.tobytes())
            kept.append([part[name].astype(kind) for name, kind in COLUMNS.items()])
            a, b, outcome, judge = kept[-1]
            yield Chunk(a, b, outcome, _contrasts(part), judge)

    rows = style_rows.gather(models, FEATURES, chunks())
    a, b, outcome, judge = (np.concatenate(c) for c in zip(*kept, strict=True)) if kept else [np.empty(0, np.int64)] * 4
    tally = Tally.of_battles(models, a, b, outcome)
    return tally, JudgeTally.of_battles(models, a, b, outcome, judge), rows, digest.digest()


def _contrasts(part: Any) -> np.ndarray:
    """(n, F) differences of both answers, A minus B, as Chatbot Arena's style control takes them."""
    return np.column_stack(
        [style_rows.contrast(part[f"{name}_a"].astype(float), part[f"{name}_b"].astype(float)) for name in FEATURES]
    )
