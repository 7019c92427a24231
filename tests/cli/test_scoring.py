import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDS = [
    {
        "study_id": "a",
        "prediction": "No effusion.",
        "reference": "Findings: No effusion. Impression: Normal.",
    },
    {"study_id": "b c", "prediction": "FINDINGS:\nEdema.\nIMPRESSION:\nEdema.", "reference": "Edema."},
]


def lines(records: list[dict[str, str]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text(lines(RECORDS))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_printed_and_written(command: Callable, reports: Path, tmp_path: Path) -> None:
    status, out, err = command("score", reports, "--metrics", "bleu2, chexpert_f1", "--out", "scores")
    assert (status, err) == (0, "")
    assert "p.jsonl: 2 pairs" in out
    assert "0 empty, 2 distinct of 2 reports" in out
    scores = rows(tmp_path / "scores" / "scores.csv")
    assert [row["study_id"] for row in scores] == ["a", "b c"]
    assert all(0 <= float(row["bleu2"]) <= 1 for row in scores)
    summary = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert summary["pairs"] == 2
    assert set(summary["metrics"]) == {"bleu2", "chexpert_f1"}
    assert summary["metrics"]["chexpert_f1"]["mean"] == 1.0


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_other_formats_score_the_same(name: str, command: Callable, reports: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".json":
        path.write_text(json.dumps({r["study_id"]: r for r in RECORDS}))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, RECORDS[0])
            writer.writeheader()
            writer.writerows(RECORDS)
    for file in (reports, path):
        assert command("score", file, "--metrics", "rouge_l", "--out", file.suffix[1:])[0] == 0
    found, expected = (tmp_path / f / "scores.csv" for f in (path.suffix[1:], "jsonl"))
    assert found.read_text() == expected.read_text()


def test_what_does_not_pair_is_said(command: Callable, reports: Path, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(lines([{"id": "a", "text": "Normal."}, {"id": "z", "text": "x"}]))
    _, out, _ = command("score", reports, "--reference", "r.jsonl", "--metrics", "bleu2")
    assert "warning: 1 predictions without a reference, left out: b c" in out
    assert "warning: 1 references without a prediction, left out: z" in out


def test_an_empty_report_is_counted_and_scores_nothing(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "a", "prediction": null, "reference": "Edema."}\n')
    status, out, _ = command("score", "p.jsonl", "--metrics", "bleu2", "--out", "s")
    assert status == 0
    assert "1 empty, 1 distinct of 1 reports" in out
    assert float(rows(tmp_path / "s" / "scores.csv")[0]["bleu2"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "none.csv"), "none.csv: no such file"),
        (("score", "p.jsonl", "--reference", "none.csv"), "none.csv: no such file"),
        (("score", "p.jsonl", "--metrics", "bleu3"), "got 'bleu3'. Did you mean 'bleu"),
        (("score", "broken.jsonl"), "broken.jsonl:2: expected JSON"),
        (("score", "p.jsonl", "--metrics", "bleu2", "--out", "way/s"), "cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(
    arguments: tuple[object, ...], message: str, command: Callable, reports: Path
) -> None:
    folder = reports.parent
    (folder / "way").write_text("a file in the way")
    (folder / "broken.jsonl").write_text(lines(RECORDS[:1]) + '{"study_id": "b"')
    status, _, err = command(*arguments)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1
