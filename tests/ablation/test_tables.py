"""What tables say without any run: the paper's figures, what in them does not add up, reasons, every form."""

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from radflow.ablation.collect import collect
from radflow.ablation.definition import PAPER, read_definition
from radflow.ablation.forms import csv as as_csv
from radflow.ablation.forms import grids, latex, markdown
from radflow.ablation.plan import Source, make_plan
from radflow.ablation.results import AblationResult, Difference, all_notes, as_json
from radflow.ablation.writing import page
from radflow.evaluation.intervals import Interval

DATA = {"mimic-cxr": '[data]\nsource = "mimic-cxr"\nroot = "."\n', "iu-xray": '[data]\nsource = "iu-xray"\n'}


def printed(number: int, source: str, folder: Path) -> AblationResult:
    """A paper's table on a recipe of which every cell failed."""
    recipe = folder / "recipe.toml"
    recipe.write_text(DATA[source])
    plan = make_plan(
        read_definition(PAPER[number]),
        PAPER[number],
        [Source(label="mine", path=recipe)],
        overrides={},
        seeds=None,
        out=folder,
    )
    return collect(plan, {task.key: "out of 100 % of_memory & <more>" for task in plan.tasks})


@pytest.mark.parametrize(
    ("number", "source", "said"),
    [
        (1, "mimic-cxr", "RadFlow 0.939, recomputed 0.966"),
        (2, "iu-xray", "RadFlow 2.325, recomputed 2.29"),
        (3, "mimic-cxr", "Ours 0.939, recomputed 0.966"),
    ],
)
def test_printed_figures_that_do_not_follow_from_each_other(
    number: int, source: str, said: str, tmp_path: Path
) -> None:
    (table,) = printed(number, source, tmp_path).tables
    (note,) = [note for note in table.notes if note.startswith("1/RadCliQ-v1 follows")]
    assert said in note
    assert "MedVersa 0.919" not in note  # ReXrank's own row, which adds up


def test_a_recipe_of_another_data_set_has_no_printed_figures(tmp_path: Path) -> None:
    (table,) = printed(2, "mimic-cxr", tmp_path).tables
    assert table.dataset == ""
    assert all(not row.paper for row in table.rows)
    assert "this recipe stands for neither" in table.notes[0]


def test_every_form_has_the_same_rows(tmp_path: Path) -> None:
    result = printed(5, "mimic-cxr", tmp_path)
    assert result.failed == 10
    (table,) = result.tables
    (grid,) = grids(table)
    assert [line.kind for line in grid.lines].count("paper") == 10
    assert [line.name for line in grid.lines if line.kind == "group"] == [
        "Ranking metric",
        "Training paradigm",
        "Reward function",
        "Policy optimization",
    ]
    tex, md = latex(result), markdown(result)
    body = tex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert body.count(r"\\") == len(grid.lines)
    assert r"failed: out of 100 \% of\_memory \& \textless{}more\textgreater{}" in body
    assert not re.search(r"[−–↑↓]|(?<!\\)[%_]", body)
    for line in re.findall(r"^\|.*$", md, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", line)) == len(grid.columns) + 2
    rows = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert len(rows) == 10 * len(table.metrics)
    assert {row["paper"] for row in rows if row["row"] == "GRPO"} >= {"0.172", "0.921"}
    assert json.loads(json.dumps(as_json(result), allow_nan=False))["tables"][0]["dataset"] == "MIMIC-CXR"
    written = page(result, {})
    assert written.count("failed: out of 100 % of_memory &amp; &lt;more&gt;") == 10
    assert all(note in html.unescape(written) for note in all_notes(result, table))
    assert "<script" not in written


def test_evidence_needs_an_interval_without_zero_and_a_corrected_p() -> None:
    clear = Interval(mean=0.2, low=0.1, high=0.3)
    assert Difference(found=clear, p=0.001, p_holm=0.02).clear
    assert Difference(found=clear).clear  # an F1 over the corpus, which has no p
    assert not Difference(found=clear, p=0.02, p_holm=0.2).clear
    assert not Difference(found=Interval(mean=0.2, low=-0.1, high=0.3), p=0.001, p_holm=0.02).clear
