"""``radflow ablate`` as a user runs it: a table, a failing row, kills, two processes on one folder."""

from __future__ import annotations

import csv
import json
import lzma
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from radflow.files import read_jsonl

pytestmark = pytest.mark.slow

MINE = """
title = "Does CAPO help?"
compare_with = "SFT"
metrics = ["bleu2", "keyword_match", "corpus_macro_f1", "inverse_radcliq_v1"]
others = true

[datasets]
"Their data" = ["carotid-phantom"]

[overrides]
exploration.bertscore = 0

[[rows]]
name = "SFT"
system = "sft"
paper."Their data" = { bleu2 = 0.5 }

[[rows]]
name = "CAPO"

[[rows]]
name = "has no film"
overrides = { "data.images" = "nowhere", "data.source" = "iu-xray" }

[[rows]]
name = "MedVersa"
unavailable = "not run here"
paper."Their data" = { bleu2 = 0.4 }

[[claims]]
says = "CAPO beats SFT where it matters"
row = "CAPO"
than = "SFT"
metrics = ["carotid_f1", "keyword_match"]
studies = "critical"

[[claims]]
says = "MedVersa is better"
row = "MedVersa"
than = "CAPO"
metrics = ["bleu2"]
"""
BREAKS = """
[[rows]]
name = "breaks"
overrides = { "rft.beta" = 1e30, "rft.learning_rate" = 1e9, "rft.max_grad_norm" = 1e9 }
"""
RANKS = """
[[rows]]
name = "ranks by BLEU-2"
overrides = { "exploration.domain" = 0 }
"""
QUICK = ("--data.count", 24, "--evaluation.metrics", "bleu2,keyword_match,carotid_f1")
KILLS = 7
"""Spread over all that a run writes, before one while the tables are written."""
TABLES = ("table.md", "table.tex", "table.csv", "table.json")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def test_a_table_its_forms_and_a_figure(command: Callable, recipe: Path, mine: Path, tmp_path: Path) -> None:
    asked, out = ("ablate", recipe, "--ablation", mine, "--out", "out", *QUICK), tmp_path / "out"
    status, shown, errors = command(*asked)
    assert status == 1
    assert "rows without a result, or without a seed: 1; the table says why" in errors
    assert "[1/1] done: SFT, seed 0" in shown
    assert "nowhere: no such file or folder (data.images)" in shown
    table, rows = read_table(out)
    assert list(rows)[:4] == ["SFT", "CAPO", "has no film", "MedVersa"]
    assert set(list(rows)[4:]) == {"Template (most frequent report)", "RadFlow, shuffled images"}
    assert table["dataset"] == "Their data"
    assert list(table["metrics"]) == ["bleu2", "keyword_match", "corpus_macro_f1"]
    assert rows["SFT"]["paper"] == {"bleu2": 0.5}
    assert rows["has no film"]["failed"] and not rows["MedVersa"]["failed"]
    assert rows["has no film"]["figures"] == rows["MedVersa"]["figures"] == {}
    assert rows["SFT"]["folders"] == rows["CAPO"]["folders"]
    check_figures(out, rows["CAPO"])
    check_forms(out)
    verdicts = {(one["says"], one["metric"]): (one["verdict"], one["seeds"]) for one in table["claims"]}
    assert verdicts == {
        ("CAPO beats SFT where it matters", "carotid_f1"): ("undecided", [0]),  # by a single seed
        ("CAPO beats SFT where it matters", "keyword_match"): ("undecided", [0]),
        ("MedVersa is better", "bleu2"): ("not run", []),
    }

    before = {name: (out / name).read_bytes() for name in TABLES}
    (folder,) = rows["CAPO"]["folders"]
    study = next(read_jsonl(out / folder / "generate" / "sft.jsonl"))["study_id"]
    status, shown, _ = command(
        *asked, "--figure", study, "--figure-rows", "SFT,CAPO", "--figure-format", "pdf"
    )
    assert status == 1
    assert "done: " not in shown  # nothing was left to run
    assert {name: (out / name).read_bytes() for name in TABLES} == before
    check_figure(out, study)
    assert (out / f"figure-{study}.pdf").read_bytes().startswith(b"%PDF")
    assert f'href="figure-{study}.pdf"' in (out / "report.html").read_text()
    check_pooled(command, ("ablate", recipe, "--ablation", mine, *QUICK), out)
    for options, said in (
        (("--figure", "nobody"), "--figure: expected test studies of these runs, such as carotid-"),
        (("--figure", study, "--figure-rows", "CAP"), "got 'CAP'. Did you mean 'CAPO'?"),
    ):
        status, _, errors = command(*asked, *options)
        assert status == 1
        assert said in errors


def check_pooled(command: Callable, asked: tuple, out: Path) -> None:
    """What is kept makes the same table elsewhere, without the runs and without a word of a report."""
    kept = out / "scores.jsonl.xz"
    text = lzma.decompress(kept.read_bytes()).decode()
    reports = [row["findings"] for row in read_jsonl(next(out.glob("runs/*/prepare/studies.jsonl")))]
    assert not any(words in text for report in reports for words in report.split(". "))
    pooled = out.with_name("pooled")
    status, *_ = command(*asked, "--out", "pooled", "--pool", kept, "--jobs", 0)
    assert status == 1  # the row without a film
    assert not (pooled / "runs").exists()
    assert (pooled / kept.name).read_bytes() == kept.read_bytes()
    assert (pooled / "table.csv").read_bytes() == (out / "table.csv").read_bytes()
    ours, theirs = read_table(pooled), read_table(out)
    assert ours[0]["claims"] == theirs[0]["claims"]
    assert [row | {"folders": []} for row in theirs[1].values()] == list(ours[1].values())
    status, planned, _ = command(*asked, "--out", "pooled", "--pool", kept, "--plan")
    assert "1 cells for 1 rows" in planned
    status, planned, _ = command(*asked, "--rft.beta", 0.5, "--pool", kept, "--plan")
    assert "2 cells for 3 rows" in planned  # of another recipe
    for content, said in (
        (b"scores", "bad.xz: expected the scores.jsonl.xz of an ablation, got Input format not supported"),
        (
            kept.read_bytes()[:-9],
            "bad.xz: expected the scores.jsonl.xz of an ablation, got Compressed file ended",
        ),
        (lzma.compress(b"{}"), "bad.xz, line 1: expected a cell's scores, got cell: Field required"),
    ):
        (bad := out / "bad.xz").write_bytes(content)
        status, _, errors = command(*asked, "--pool", bad)
        assert status == 1
        assert said in errors
    status, _, errors = command(*asked, "--pool", "nowhere.xz")
    assert "nowhere.xz: expected the scores.jsonl.xz of an ablation, got No such file or directory" in errors


def read_table(out: Path) -> tuple[dict, dict[str, dict]]:
    """The only table, and its rows by name."""
    (table,) = json.loads((out / "table.json").read_text())["tables"]
    return table, {row["name"]: row for row in table["rows"]}


def test_tables_of_what_is_done_so_far(command: Callable, recipe: Path, mine: Path, tmp_path: Path) -> None:
    asked = ("ablate", recipe, "--ablation", mine, "--out", "out", *QUICK, "--jobs", 0)
    status, _, errors = command(*asked)
    assert status == 1
    assert "rows without a result, or without a seed: 3; the table says why" in errors
    rows = read_table(tmp_path / "out")[1]
    assert rows["CAPO"]["missing"] == "not run yet"
    assert "| CAPO | not run yet |" in (tmp_path / "out" / "table.md").read_text()
    assert "nowhere: no such file" in rows["has no film"]["missing"]
    assert not (tmp_path / "out" / "runs").exists()


def test_the_plan_runs_nothing(command: Callable, recipe: Path, mine: Path, tmp_path: Path) -> None:
    mine.write_text(MINE + BREAKS + RANKS)
    status, planned, errors = command("ablate", recipe, "--ablation", mine, "--out", "out", *QUICK, "--plan")
    assert status == 0, errors
    assert "4 cells for 5 rows (seeds 0) and 2 shared runs of stages" in planned
    assert "stages up to predict of 3 cells" in planned  # another ranking takes the same reports
    assert "stages up to exploration of 2 cells" in planned
    assert "nowhere: no such file or folder (data.images)" in planned
    assert not (tmp_path / "out").exists()


@pytest.mark.release
def test_a_row_that_fails_does_not_end_the_others(
    command: Callable, recipe: Path, mine: Path, tmp_path: Path
) -> None:
    mine.write_text(MINE + BREAKS)
    asked, out = ("ablate", recipe, "--ablation", mine, "--out", "out", *QUICK), tmp_path / "out"
    status, shown, errors = command(*asked)
    assert status == 1
    assert "rows without a result, or without a seed: 2; the table says why" in errors
    assert "[1/3] done: stages up to exploration of 2 cells, seed 0" in shown
    assert " left" in shown
    assert "failed: rft: the loss is" in shown
    assert read_table(out)[1]["breaks"]["failed"]
    assert all("the loss is" in (out / name).read_text() for name in TABLES)
    check_only_once(out, stages=("sft", "exploration"))
    before = {name: (out / name).read_bytes() for name in TABLES}
    status, shown, _ = command(*asked)
    assert status == 1
    assert "[1/1] failed: breaks" in shown  # tried again, and nothing else
    assert {name: (out / name).read_bytes() for name in TABLES} == before


def check_figure(out: Path, study: str) -> None:
    """A figure is whole XML, has the pictures, the reference and both systems, and the page has it too."""
    figure = (out / f"figure-{study}.svg").read_text()
    root = ElementTree.fromstring(figure)
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Reference", "(1) SFT", "(2) CAPO"} <= set(texts)
    assert any("drawn" in text for text in texts)
    assert figure.count("data:image/") == len([text for text in texts if text.endswith(", drawn")])
    page = (out / "report.html").read_text()
    assert figure in page
    assert all(words in page for words in ("not run here", "Their data as printed", "figure-", "table.tex"))


def check_figures(out: Path, row: dict) -> None:
    """A mean is that of the run's own scores, and the difference that of the two systems."""
    (folder,) = row["folders"]
    scores = {
        system: list(read_jsonl(out / folder / "evaluation" / "scores" / f"{system}.jsonl"))
        for system in ("sft", "radflow")
    }
    for metric in ("bleu2", "keyword_match"):
        means = {name: sum(study[metric] for study in found) / len(found) for name, found in scores.items()}
        assert row["figures"][metric]["mean"] == pytest.approx(means["radflow"], abs=1e-6)
        minus = means["radflow"] - means["sft"]
        assert row["differences"][metric]["mean"] == pytest.approx(minus, abs=1e-6)
        assert 0 < row["differences"][metric]["p"] <= row["differences"][metric]["p_holm"] <= 1


def check_forms(out: Path) -> None:
    """Every form has the figures, the paper's, and the reason of what failed."""
    for name in ("table.md", "table.tex", "table.csv"):
        text = (out / name).read_text()
        assert all(words in text for words in ("0.4", "0.5", "not run here", "no such file"))
    latex = (out / "table.tex").read_text()
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 3
    assert "no such file or folder (data.images)" in latex
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert {row["row"]: row["paper"] for row in rows if row["metric"] == "BLEU-2"}["MedVersa"] == "0.4"


def check_only_once(out: Path, *, stages: tuple[str, ...]) -> None:
    """What cells share was made in one folder, and the others found it done."""
    for stage in stages:
        said = [log.read_text() for log in out.rglob("run.log")]
        made = {"sft": "sft: best validation loss", "exploration": "exploration: kept"}[stage]
        assert sum(text.count(made) for text in said) == 1
        assert sum(f"{stage}: done already, inputs unchanged" in text for text in said) == len(said) - 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected --table 1 to 6, or --ablation FILE.toml"),
        (("--table", 3, "--ablation", "mine.toml"), "expected --table 1 to 6, or --ablation FILE.toml"),
        (("--ablation", "none.toml"), "none.toml: no such ablation; docs/ablations.md says"),
        (("--table", 3, "--seeds", "0,x"), "--seeds: expected whole numbers separated by commas, got '0,x'"),
        (("--table", 3, "--seeds", "1,1"), "--seeds: expected each seed once, got '1,1'"),
        (("--table", 3, "--jobs", -1), "--jobs: expected at least 0, got -1"),
        (("--table", 3, "--out", "mine.toml"), "mine.toml: cannot make this folder (File exists)"),
        (("--table", 3, "--figure-format", "svg"), "--figure-format: expected pdf or png, got 'svg'"),
        (("--table", 3, "--rft.divisr", 2), "--rft.divisr: no such option. Did you mean '--rft.divisor'?"),
        (("quickstart", "quickstart", "--table", 3), "expected each recipe once, got it twice"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[object, ...], said: str, command: Callable, recipe: Path, mine: Path
) -> None:
    first = () if words[:1] == ("quickstart",) else (recipe,)
    status, _, errors = command("ablate", *first, *words)
    assert status == 1
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.release
def test_two_at_once_and_killed_again_and_again_give_the_same_bytes(
    recipe: Path, mine: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    def start(out: Path) -> subprocess.Popen:
        options = ("--ablation", mine, "--seeds", "0,1", "--jobs", 2, "--out", out, *QUICK)
        options += ("--evaluation.controls", "template,shuffled,sft-continued")
        command = [sys.executable, "-m", "radflow", "ablate", recipe, *options]
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    mine.write_text(MINE + BREAKS)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    both = [start(whole), start(whole)]
    assert [process.wait() for process in both] == [1, 1]  # a row of it fails
    check_only_once_per_seed(whole)
    assert not any((whole / "claims").iterdir())

    draw, total = random.Random(0), written(whole)
    for place in range(KILLS):
        enough = total * (place + draw.random()) / KILLS
        kill(start(killed), lambda enough=enough: written(killed) >= enough)
    kill(start(killed), (killed / "table.json").exists)
    assert start(killed).wait() == 1
    for name in (*TABLES, "report.html"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def kill(process: subprocess.Popen, when: Callable[[], bool]) -> None:
    """End a runner and its tasks, all at once, as soon as a condition holds."""
    while process.poll() is None and not when():
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def written(out: Path) -> int:
    """Whole files of finished and unfinished stages: what a kill leaves to go on from."""
    return sum(path.suffix != ".radflow" for path in out.glob("*/*/*/*"))


def check_only_once_per_seed(out: Path) -> None:
    said = [log.read_text() for log in out.rglob("run.log")]
    assert sum(text.count("sft: best validation loss") for text in said) == 2
    assert sum(text.count("rft: kept step") for text in said) == 2
