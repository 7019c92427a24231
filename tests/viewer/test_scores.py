import copy
import re

import pytest

from radflow.viewer.scores import render_scores, reports_table, score_table

INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6}
SUMMARY = {
    "system": "mine <b>",
    "pairs": 1200,
    "track": "findings",
    "split": None,
    "modality": "chest-xray",
    "resampled": "patients",
    "patients": 900,
    "metrics": {
        "bleu2": {"label": "BLEU-2", "higher_is_better": True, "reader": None, **INTERVAL, "missing": 0},
        "radcliq_v1": {"label": "RadCliQ-v1 (all)", "higher_is_better": False, **INTERVAL, "missing": 0},
    },
    "radcliq_v1_inverse": {"mean": 2.0, "low": None, "high": None},
    "baselines": {
        "template": {
            "label": "the most frequent",
            "metrics": {"bleu2": INTERVAL, "radcliq_v1": INTERVAL},
            "difference": {"bleu2": {"mean": 0.1, "low": 0.05, "high": 0.2}, "radcliq_v1": INTERVAL},
        }
    },
    "reports": {
        "words": 40.0,
        "reference_words": 37.0,
        "positives": 1.0,
        "reference_positives": 1.5,
        "distinct": 0.5,
        "reference_distinct": 0.9,
        "most_frequent": 0.1,
        "reference_most_frequent": 0.02,
        "repeats": 0.0,
        "reference_repeats": 0.0,
        "flips": 0.068,
        "stated_by_both": 3643,
        "copies": 0.0,
    },
    "warnings": ["Only <half> of it."],
    "counts": {
        "predictions_without_reference": 2,
        "references_without_prediction": 3,
        "empty": 1,
        "duplicates": 7,
    },
}


def test_the_page_says_what_the_numbers_are_worth() -> None:
    page = render_scores(SUMMARY)
    for text in ("1,200 pairs", "mine &lt;b&gt;", "Only &lt;half&gt; of it.", "the most frequent", "3,643"):
        assert text in page
    assert "2 predictions, 3 references" in page
    assert "<script" not in page


def test_the_gain_is_coloured_by_what_is_better() -> None:
    groups = dict(score_table(SUMMARY).groups)
    (bleu,) = groups["Language"]
    assert (bleu.cells[-1].mean, bleu.cells[-1].tone) == ("+0.100", "better")
    radcliq, inverse = groups["Clinical content"]
    assert (radcliq.arrow, radcliq.cells[-1].tone) == ("↓", "worse")
    assert (inverse.name, inverse.cells[0].mean, inverse.cells[0].ends) == ("1/RadCliQ-v1", "2.000", "")


@pytest.mark.parametrize("unknown", ["metrics", "baselines"])
def test_what_is_not_known_is_a_dash(unknown: str) -> None:
    summary = copy.deepcopy(SUMMARY)
    nothing = {"mean": None, "low": None, "high": None}
    if unknown == "metrics":
        summary["metrics"]["bleu2"] |= nothing
    summary["baselines"]["template"]["difference"]["bleu2"] = nothing
    (row,) = dict(score_table(summary).groups)["Language"]
    assert row.cells[-1].mean == "–"


def test_without_baselines_there_is_no_gain() -> None:
    summary = SUMMARY | {"baselines": {}}
    assert score_table(summary).columns == ("mine <b>",)
    assert "Gain over" not in render_scores(summary)


def test_shares_are_printed_as_percentages() -> None:
    rows = {row.name: [cell.mean for cell in row.cells] for row in reports_table(SUMMARY).groups[0][1]}
    assert rows["distinct reports"] == ["50.0%", "90.0%"]
    assert rows["asserted by one report of a pair, denied by the other"] == ["6.8%", ""]


OBSERVED = {
    "observations": [
        {"name": "Edema", "support": 1200, "predicted": 3, "precision": None, "recall": 0.25, "f1": 0.1}
    ]
}
WORST = {
    "study_id": "one <i>",
    "scores": {"CheXpert F1 (rules)": 0.25},
    "reference": {"text": "Edema.", "canonical": "Edema."},
    "systems": {
        "mine": {
            "text": "Findings: Clear.",
            "marks": [{"start": 10, "end": 16, "kind": "extra", "words": []}],
            "missed": [{"start": 0, "end": 5, "kind": "missed", "note": "missed: Edema"}],
        }
    },
}


def test_each_observation_has_its_f1_and_support() -> None:
    page = render_scores(SUMMARY | OBSERVED)
    assert "Each observation" in page
    row = page[page.index(">Edema<") : page.index("</tr>", page.index(">Edema<"))]
    assert re.findall(r">([^<>\s]+)</td>", row) == ["1,200", "3", "–", "0.250", "0.100"]
    assert "Each observation" not in render_scores(SUMMARY)


def test_the_worst_reports_are_shown_with_their_marks_and_escaped() -> None:
    page = render_scores(SUMMARY, [WORST])
    assert "one &lt;i&gt;" in page
    assert "CheXpert F1 (rules) 0.25" in page
    assert '<mark class="extra" title="not in the reference">Clear.</mark>' in page
    assert 'class="missed"' in page
    assert "missed: Edema" in page
    assert "The worst reports" not in render_scores(SUMMARY)
