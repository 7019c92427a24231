"""What tables say without any run: the paper's figures, what in them does not add up, reasons, every form."""

import csv
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from radflow.ablation.collect import collect
from radflow.ablation.definition import PAPER, read_definition
from radflow.ablation.forms import csv as as_csv
from radflow.ablation.forms import grids, latex, markdown
from radflow.ablation.plan import Source, make_plan
from radflow.ablation.results import AblationResult, Answer, Difference, all_notes, as_json
from radflow.ablation.statistics import SeedScores, gaps_of
from radflow.ablation.writing import page
from radflow.evaluation.files.scores import read_scores
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
    return collect(plan, {task.key: "out of 100 % of_memory & <more>" for task in plan.tasks}, {})


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


def test_latex_puts_intervals_below_their_figures_and_a_reason_in_a_box(tmp_path: Path) -> None:
    result = printed(3, "mimic-cxr", tmp_path)
    (table,) = result.tables
    found = Interval(mean=-0.2, low=-0.3, high=0.1)
    minus = {"bleu2": Difference(found=found, p=0.01, p_holm=0.02)}
    first, *others = table.rows
    first = replace(first, name="[β ≥ 2]", figures={"bleu2": found}, differences=minus, missing="")
    tex = latex(replace(result, tables=(replace(table, rows=(first, *others)),)))
    figures, differences = (part.split(r"\bottomrule")[0] for part in tex.split(r"\midrule")[1:])
    empty = " & --" * (len(table.metrics) - 1)
    assert rf"{{[}}$\beta$ $\geq$ 2] & $-$0.200{empty} \\" in figures
    assert r"& \scriptsize [$-$0.300, 0.100] &" in figures
    assert "\n & \\scriptsize [$-$0.300, +0.100] &" in differences
    assert "\n & \\scriptsize p 0.020 &" in differences
    assert r"{l}{\parbox[t]{0.6\textwidth}{\raggedright \emph{failed: out of" in figures
    for line in figures.splitlines():
        columns = 1 + len(re.findall(r"(?<!\\)&", line))
        wide = re.search(r"\\multicolumn{(\d+)}", line)
        assert columns - 1 + int(wide[1] if wide else 1) in (len(table.metrics) + 1, 1), line


def test_evidence_needs_an_interval_without_zero_and_a_corrected_p() -> None:
    clear = Interval(mean=0.2, low=0.1, high=0.3)
    assert Difference(found=clear, p=0.001, p_holm=0.02).clear
    assert Difference(found=clear).clear  # an F1 over the corpus, which has no p
    assert not Difference(found=clear, p=0.02, p_holm=0.2).clear
    assert not Difference(found=Interval(mean=0.2, low=-0.1, high=0.3), p=0.001, p_holm=0.02).clear


@pytest.mark.parametrize(
    ("low", "high", "seeds", "verdict"),
    [
        (0.1, 0.3, (0, 1, 2), "holds"),
        (-0.3, -0.1, (0, 1, 2), "fails"),
        (-0.1, 0.3, (0, 1, 2), "undecided"),
        (0.1, 0.3, (0, 1), "undecided"),
    ],
)
def test_a_claim_is_decided_by_an_interval_over_seeds(
    low: float, high: float, seeds: tuple[int, ...], verdict: str
) -> None:
    found = Interval(mean=(low + high) / 2, low=low, high=high)
    of = {"says": "s", "row": "a", "than": "b", "metric": "bleu2", "label": "BLEU-2", "studies": "all"}
    assert Answer(**of, found=found, seeds=seeds).verdict == verdict


def seed_scores(folder: Path, values: list[float], critical: tuple[bool, ...]) -> SeedScores:
    folder.mkdir(parents=True)
    rows = "".join(f"s{at},p{at},{value}\n" for at, value in enumerate(values))
    (folder / "scores.csv").write_text("study_id,patient_id,radcliq_v1\n" + rows)
    studies = tuple((f"s{at}", f"p{at}", "") for at in range(len(values)))
    return SeedScores(scores=read_scores(folder), studies=studies, critical=critical)


def test_critical_studies_alone_decide_where_a_claim_says_so(tmp_path: Path) -> None:
    critical = (True, False, True, False)
    ours = seed_scores(tmp_path / "ours", [1.0, 0.0, 2.0, 0.0], critical)
    others = seed_scores(tmp_path / "others", [0.5, 1.0, 1.5, 1.0], critical)
    assert gaps_of([ours], [others])["radcliq_v1"].mean == pytest.approx(-0.25)
    found = gaps_of([ours], [others], critical=True)["radcliq_v1"]
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
