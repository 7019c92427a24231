import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def write(folder: Path, scores: dict[str, float], **metric: object) -> None:
    folder.mkdir()
    rows = "".join(f"{study},{value!r},{1 - value!r}\n" for study, value in scores.items())
    (folder / "scores.csv").write_text(f"study_id,bleu2,radcliq_v1\n{rows}")
    metrics = {"bleu2": {"label": "BLEU-2", "higher_is_better": True} | metric, "radcliq_v1": {}}
    (folder / "scores.json").write_text(json.dumps({"system": folder.name, "metrics": metrics}))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).uniform(0.2, 0.6, 30).tolist()
    write(tmp_path / "old", {f"s{i}": value for i, value in enumerate(values)})
    write(tmp_path / "new", {f"s{i}": value + 0.1 + i % 3 / 100 for i, value in enumerate(values)})
    return tmp_path


def test_the_table_says_which_is_better(command: Callable, folders: Path) -> None:
    status, out, _ = command("compare", "old", "new", "--resamples", "500")
    assert status == 0
    assert "30 studies. A: old, B: new" in out
    bleu, radcliq = (line for line in out.splitlines() if line.startswith(("BLEU-2", "RadCliQ")))
    assert bleu.split() == ["BLEU-2", "↑", *bleu.split()[2:4], "+0.110", "[+0.107,", "+0.113]", "0.004", "B"]
    assert radcliq.split()[-1] == "B"
    assert "new is better than old on 2 of 2 metrics, worse on 0" in out
    assert "note: patients are not known" in out


def test_files_and_page_are_written_and_the_same_again(command: Callable, folders: Path) -> None:
    for out in ("one", "two"):
        status, _, _ = command("compare", "old", "new", "--resamples", "200", "--out", out, "--seed", "3")
        assert status == 0
    for name in ("comparison.json", "comparison.csv", "comparison.html"):
        assert (folders / "one" / name).read_bytes() == (folders / "two" / name).read_bytes()
    said = json.loads((folders / "one" / "comparison.json").read_text())
    assert (said["a"], said["b"], said["studies"], said["seed"]) == ("old", "new", 30, 3)
    with (folders / "one" / "comparison.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["metric"], first["better"], second["higher_is_better"]) == ("bleu2", "B", "False")
    assert float(first["difference"]) == said["metrics"]["bleu2"]["difference"]
    assert "<svg" in (folders / "one" / "comparison.html").read_text()


def test_systems_of_a_run_are_compared(command: Callable, tmp_path: Path) -> None:
    scores = tmp_path / "run" / "evaluation" / "scores"
    scores.mkdir(parents=True)
    for system, gain in (("sft", 0.0), ("radflow", 0.2)):
        rows = [{"study_id": f"s{i}", "reward": i / 10 + gain, "reward/syntax": None} for i in range(8)]
        (scores / f"{system}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, _ = command("compare", scores / "sft.jsonl", scores / "radflow.jsonl")
    assert status == 0
    assert "reward ↑" in out
    assert "reward: syntax: no study has a number of both systems" in out


def test_chosen_metrics(command: Callable, folders: Path) -> None:
    status, out, _ = command("compare", "old", "new", "--metrics", "radcliq_v1", "--resamples", "50")
    assert status == 0
    assert "BLEU-2" not in out


def test_f1_over_the_corpus_is_compared_where_both_say_what_they_assert(
    command: Callable, tmp_path: Path
) -> None:
    truth = ["Edema.", "Edema.", "Edema.", "Normal heart.", "Fracture.", "Edema.", "Fracture.", "Edema."]
    for name, texts in (("silent", ["Normal heart."] * 8), ("right", truth)):
        rows = [
            {"id": f"s{i}", "prediction": text, "reference": true}
            for i, (text, true) in enumerate(zip(texts, truth, strict=True))
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command("score", f"{name}.jsonl", "--metrics", "chexpert_f1", "--out", name)
    status, out, err = command("compare", "silent", "right", "--resamples", "50", "--out", "both")
    assert (status, err) == (0, "")
    macro = next(line for line in out.splitlines() if line.startswith("Corpus macro F1 (rules) ↑")).split()
    assert macro[5:8] == ["0.000", "1.000", "+1.000"]
    assert "positives per report: silent 0.00, right 0.88, references 0.88" in out
    said = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert said["metrics"]["corpus_micro_f1"]["p"] == 2 / 2**7  # one unit is alike in both
    assert said["positives"] == {"a": 0.0, "b": 0.875, "reference": 0.875}
    assert "silent 0.00, right 0.88" in (tmp_path / "both" / "comparison.html").read_text()
    (tmp_path / "right" / "labels.jsonl").unlink()
    _, out, _ = command("compare", "silent", "right", "--resamples", "50")
    assert "only silent has Corpus macro F1 (rules), Corpus micro F1 (rules)" in out
    (tmp_path / "right" / "labels.jsonl").write_text('{"study_id": "s0", "generated": [], "reference": []}\n')
    _, _, err = command("compare", "silent", "right")
    assert "labels.jsonl: expected the labels of every study of scores.csv, got none of 's1'" in err


def test_a_system_named_with_brackets_is_printed(command: Callable, folders: Path) -> None:
    write(folders / "[bold]", {f"s{i}": 0.5 for i in range(30)})
    _, out, _ = command("compare", "[bold]", "new", "--resamples", "50")
    assert "A: [bold], B: new" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["old", "nowhere"], "nowhere: no such file or folder"),
        (["old", "."], "expected a folder with scores.csv"),
        (["old", "new", "--metrics", "blue2"], "Did you mean 'bleu2'?"),
        (["old", "new", "--resamples", "0"], "--resamples: expected at least 1, got 0"),
        (["old", "elsewhere"], "at least two studies that both systems scored, got 0"),
        (["old", "one"], "at least two studies that both systems scored, got 1"),
        (["old", "model"], "expected the same model behind it on both sides, got BLEU-2 in"),
    ],
)
def test_mistakes_are_one_line(command: Callable, folders: Path, arguments: list[str], said: str) -> None:
    write(folders / "elsewhere", {"x1": 0.5, "x2": 0.5})
    write(folders / "one", {"s1": 0.5})
    write(folders / "model", {"s1": 0.5, "s2": 0.5}, label="BLEU-2 (mine)")
    status, _, err = command("compare", *arguments)
    assert status == 1
    assert said in err
    assert err.strip().count("\n") == 0
