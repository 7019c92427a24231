"""What ``radflow score`` says of files that it cannot score."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

PLAIN = "id,text,reference\na,x,y\n"


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        (
            "p.csv",
            "id,text,reference\na,x,y\na,x,y\n",
            (),
            "p.csv:3: study 'a' stands there already at p.csv:2",
        ),
        ("p.csv", "id,text,reference\na ,x,y\n a,x,y\n", (), "p.csv:3: study 'a' stands there already"),
        ("p.csv", "id,words\na,x\n", (), "p.csv:2: expected a report in one of model_prediction"),
        ("p.csv", "id,text\na,x\n", (), "no prediction has a reference: expected a column 'reference'"),
        ("p.csv", "id,text,reference\na,x,\n", (), "no prediction has a reference"),
        ("p.csv", b"id,text,reference\na,\x81,y\n", (), "p.csv:2: not utf-8"),
        ("p.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:-9], (), "p.csv.gz: expected a whole gzip file"),
        (
            "p.jsonl",
            '{"id": "a", "text": 3, "reference": "x"}',
            (),
            "p.jsonl:1: 'text' should be text, got 3",
        ),
        ("p.csv", PLAIN, ("--metrics", "radcliq_v1", "--chexbert", "c"), "with --radgraph, --bertscore"),
        ("p.csv", PLAIN, ("--metrics", "semb_score"), "give their folders with --chexbert"),
        ("p.csv", PLAIN, ("--bertscore", "folder"), "--bertscore: expected FOLDER@5, got 'folder'"),
        ("p.csv", PLAIN, ("--metrics", "carotid_f1"), "carotid_f1 is a metric of carotid-us reports"),
        (
            "p.csv",
            PLAIN,
            ("--modality", "carotid-us", "--radgraph", "x"),
            "--radgraph reads chest X-ray reports",
        ),
        ("p.csv", PLAIN, ("--metrics", ","), "--metrics: expected names out of bleu2"),
        ("p.csv", PLAIN, ("--write-rexrank", "p.csv"), "expected another file than those that are read"),
        ("p.csv", PLAIN, ("--train", "none.csv"), "none.csv: no such file"),
    ],
)
def test_bad_input_is_one_line(
    name: str,
    content: str | bytes,
    arguments: tuple[str, ...],
    message: str,
    command: Callable,
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    options = arguments if "--metrics" in arguments else ("--metrics", "bleu2", *arguments)
    status, _, err = command("score", name, *options)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1
