import json
import sys

import pytest

from radflow.errors import MissingDependencyError
from radflow.metrics.asked.crimson import crimson_question, crimson_score, read_crimson

U, A, N, B = "urgent", "actionable_not_urgent", "not_actionable_not_urgent", "benign_expected"


def listed(reference="", predicted="", matched=(), false=(), missing=(), attributes=()):
    """``"UA"`` are two findings, urgent and actionable; attributes are (reference, severity)."""
    weight = {"U": U, "A": A, "N": N, "B": B, "?": "unheard of"}

    def findings(side, letters):
        return [
            {"id": f"{side}{i}", "finding": "x", "clinical_significance": weight[c]}
            for i, c in enumerate(letters, 1)
        ]

    return {
        "reference_findings": findings("R", reference),
        "predicted_findings": findings("P", predicted),
        "matched_findings": [{"ref_id": f"R{r}", "pred_id": f"P{p}"} for r, p in matched],
        "errors": {
            "false_findings": [f"P{p}" for p in false],
            "missing_findings": [f"R{r}" for r in missing],
            "attribute_errors": [
                {"ref_id": f"R{r}", "pred_id": "P1", "severity": how, "error_types": ["location"]}
                for r, how in attributes
            ],
        },
    }


CASES = [
    (listed(), 1.0),  # normal against normal
    (listed("UA", "UA", [(1, 1), (2, 2)]), 1.0),
    (listed("UA", "U", [(1, 1)], missing=[2]), 0.6667),  # 1 / 1.5
    (listed("A", "A", [(1, 1)], attributes=[(1, "significant")]), 0.5),  # 0.5 * 0.5 / (0.5 + 0.5) / 0.5
    (listed("U", "U", [(1, 1)], attributes=[(1, "significant"), (1, "negligible")]), 0.6667),  # 1 / 1.5
    (listed("U", "U", [(1, 1)], attributes=[(1, "odd")]), 0.8),  # 1 / 1.25
    (listed("U", "UN", [(1, 1)], false=[2]), 0.75),  # (1 - 0.25) / 1
    (listed("A", "U", missing=[1], false=[1]), -0.5),  # 1 false beyond 0 right: -1 / 2
    (listed("", "UU", false=[1, 2]), -0.6667),  # against a normal reference: -2 / 3
    (listed("", "B", false=[1]), 1.0),  # expected findings weigh nothing
    (listed("U", "", missing=[1]), 0.0),  # nothing right, nothing false
    (listed("U", "UU", [(1, 1), (1, 2)]), 1.0),  # one to two: counts once
    (listed("?", "?", [(1, 1)]), 1.0),
    (listed("U", "A", [(1, 1)], false=[9]), 1.0),  # an id that is not in the list weighs nothing
]


@pytest.mark.parametrize(("evaluation", "expected"), CASES)
def test_hand_computed(evaluation, expected):
    assert crimson_score(evaluation) == expected
    assert read_crimson(json.dumps(evaluation)) == expected
    assert read_crimson(f"```json\n{json.dumps(evaluation)}\n```") == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{}",
        "[]",
        "The report is good.",
        json.dumps({"errors": {}}),
        json.dumps(listed() | {"reference_findings": [{"finding": "no id"}]}),
        json.dumps(listed() | {"matched_findings": ["R1"]}),
        json.dumps(listed() | {"errors": []}),
        "[" * 100_000,
    ],
)
def test_another_form_has_no_score(answer):
    assert read_crimson(answer) is None


def test_the_package_holds_the_question(monkeypatch):
    monkeypatch.setitem(sys.modules, "CRIMSON", None)
    monkeypatch.delitem(sys.modules, "CRIMSON.prompt_parts", raising=False)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps crimson-score"):
        crimson_question("a", "b")


def test_its_question_and_arithmetic_are_the_packages():
    package = pytest.importorskip("CRIMSON.generate_score")
    for evaluation, _ in CASES:
        theirs = package.CRIMSONScore._calculate_crimson(None, evaluation)["crimson_score"]
        assert crimson_score(evaluation) == theirs
    whole = crimson_question("Effusion.", "Clear.")
    assert "Reference Findings (Ground Truth):\nEffusion." in whole
    assert len(crimson_question("Effusion.", "Clear.", guidelines=False)) < len(whole)
    assert read_crimson(json.dumps(listed("U", "U", [(1, 1)])).replace('"x"', '"a "b" c"', 1)) == 1.0
