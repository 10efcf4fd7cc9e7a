"""Small files of votes in each known format, written by us: the fields of the public sets, nobody's texts."""

import gzip
import json
from pathlib import Path
from typing import Any

LMSYS = [
    {
        "question_id": f"q{i}", "model_a": a, "model_b": b, "winner": winner, "judge": f"arena_user_{i % 2}", "turn": turn,
        "anony": anony, "language": language, "tstamp": 1682351591.1322 + i,
        "conversation_a": [{"content": "x", "role": "user"}], "conversation_b": [{"content": "x", "role": "user"}],
    }
    for i, (a, b, winner, turn, anony, language) in enumerate(
        [
            ("koala", "alpaca", "model_a", 1, True, "English"),
            ("alpaca", "vicuna", "model_b", 3, True, "German"),
            ("vicuna", "koala", "tie", 1, True, "Klingon"),
            ("vicuna", "alpaca", "tie (bothbad)", 1, True, "English"),
            ("koala", "vicuna", "model_b", 1, False, "English"),
        ]
    )
]  # fmt: skip


def preference(i: int, winner: str, **more: Any) -> dict[str, Any]:
    heads = {f"h{n}": 1 for n in range(1, 7)}
    facts = {
        "sum_user_tokens": 600, "turns": 2, "sum_assistant_a_tokens": 100 + i, "sum_assistant_b_tokens": 200,
        "header_count_a": heads, "header_count_b": dict.fromkeys(heads, 0),
        "list_count_a": {"ordered": 2, "unordered": 3}, "list_count_b": {"ordered": 0, "unordered": 0},
        "bold_count_a": {"**": 1, "__": 1}, "bold_count_b": {"**": 0, "__": 4},
    }  # fmt: skip
    criteria = (
        "complexity",
        "creativity",
        "domain_knowledge",
        "problem_solving",
        "real_world",
        "specificity",
        "technical_accuracy",
    )
    tags = {
        "criteria_v0.1": {name: name != "creativity" for name in criteria},
        "math_v0.1": {"math": False},
        "if_v0.1": {"if": True, "score": 4},
        "creative_writing_v0.1": {"creative_writing": False, "score": "no"},
    }
    return {
        "id": f"v{i}", "model_a": "m1", "model_b": "m2", "winner": winner, "evaluation_session_id": f"s{i // 2}",
        "evaluation_order": 1, "language": "en", "is_code": True, "conv_metadata": facts, "category_tag": tags,
        "timestamp": "2025-06-01 12:00:00",
    } | more  # fmt: skip


PREFERENCE = [preference(i, winner) for i, winner in enumerate(("model_a", "model_b", "tie", "both_bad"))]
KAGGLE = """id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie
1,m1,m2,"[""two
lines""]",x,y,1,0,0
2,m2,m1,p,x,y,0,1,0
3,m1,m2,p,x,y,0,0,1
"""
COMPARIA = [
    {"id": 1, "model_a_name": "m1", "model_b_name": "m2", "chosen_model_name": "m2", "both_equal": False, "conv_turns": 2,
     "visitor_id": "v", "timestamp": "2025-01-01T10:00:00"},
    {"id": 2, "model_a_name": "m1", "model_b_name": "m2", "chosen_model_name": None, "both_equal": True, "conv_turns": 1,
     "visitor_id": "v", "timestamp": "2025-01-01T10:00:01"},
    {"id": 3, "model_a_name": "m3", "model_b_name": "m2", "chosen_model_name": "m3", "both_equal": False, "conv_turns": 1,
     "visitor_id": None, "timestamp": "2025-01-01T10:00:02"},
]  # fmt: skip
UNVOTED = COMPARIA[0] | {"id": 4, "chosen_model_name": None, "both_equal": None}
TURNS = [
    {"response_id": f"r{i}", "choice": choice, "turn": turn, "comparison_id": f"c{i // 2}", "model_a": "m1", "model_b": "m2",
     "timestamp": "2026-08-04T16:15:55.911000", "metadata": {"languages": languages, "tokens_a": 4}}
    for i, (choice, turn, languages) in enumerate(
        [("a_better", 0, ["fr"]), ("b_better", 1, ["fr", "en"]), ("both_good", 0, None), ("both_bad", 0, ["en"]),
         ("idk", 0, None), (None, 0, None)]
    )
]  # fmt: skip
JUDGMENTS = [  # MT-bench
    {"question_id": 81, "model_a": "m1", "model_b": "m2", "winner": winner, "judge": judge, "turn": turn,
     "conversation_a": [{"content": "x", "role": "user"}], "conversation_b": [{"content": "x", "role": "user"}]}
    for winner, judge, turn in [
        ("model_a", "expert_1", 1), ("tie", "expert_2", 2), ("tie (inconsistent)", ["gpt-4", "pair-v2"], 1)
    ]
]  # fmt: skip
SEARCHES = [
    {"model_a": "m1", "model_b": "m2", "winner": winner, "judge": "h", "turn": 2, "timestamp": "2025-03-18T16:39:00.55",
     "primary_intent": "Other", "languages": ["English"]}
    for winner in ("tie (bothbad)", None)
]  # fmt: skip
PLAIN = """model_a,model_b,winner,judge,language,categories,chars_a,chars_b,headers_a,headers_b,lists_a,lists_b,bold_a,bold_b
m1,m2,model_a,j1,en,code math,10,20,1,2,3,4,5,6
m2,m1,both_bad,j2,,,1,1,0,0,0,0,0,0
"""


def written(folder: Path, name: str, records: list[dict[str, Any]] | str) -> Path:
    """A file whose name says how: .csv and .tsv take text, .json, .jsonl and .parquet records; .gz on top."""
    path = folder / name
    plain = name.removesuffix(".gz")
    if plain.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
        return path
    if isinstance(records, str):
        text = records
    elif plain.endswith(".json"):
        text = json.dumps(records, indent=1)
    else:
        text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path
