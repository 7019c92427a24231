"""CRIMSON (Baharoon et al. 2026, arXiv:2603.06183): errors weighed by what they mean for the patient.

A language model lists the abnormal findings of both reports with their significance, matches them, and names
false, missing and wrongly described ones. The arithmetic here is that of the package ``crimson-score`` 0.2.0
(rajpurkarlab/CRIMSON, ``07e3331``), to its four decimals. The question is the package's own, so that has to
be installed; it needs nothing else of it::

    pip install --no-deps crimson-score

Its holes: all rests on the model's list, and nothing checks that every finding is in it exactly once;
normal findings do not count, so a report without any finding scores 1 against a normal reference; a false
finding that the list does not hold weighs 0; patients' age and indication, which its guidelines use, are not
given here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingDependencyError
from radflow.metrics.asked.asking import PairReader, ask_pairs

SIGNIFICANCE = {
    "urgent": 1.0,
    "actionable_not_urgent": 0.5,
    "not_actionable_not_urgent": 0.25,
    "benign_expected": 0.0,
}
SEVERITY = {"significant": 0.5, "negligible": 0.0}
"""What an error in the attributes of a matched finding weighs."""
_OTHER = 0.25  # what another word than these weighs
_PARTS = {"reference_findings": list, "predicted_findings": list, "matched_findings": list, "errors": dict}


def crimson(
    generated: Sequence[str], reference: Sequence[str], reader: PairReader | None = None
) -> Float[np.ndarray, " N"]:
    """CRIMSON of each pair, in (-1, 1]; higher is better, 0 is as much right as false.

    Args:
        generated: generated reports.
        reference: their references.
        reader: asks a language model :func:`crimson_question` and reads its answers by :func:`read_crimson`.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: no reader was given.
    """
    return ask_pairs("crimson", "crimson:openai:<model>", generated, reference, reader)


def crimson_score(evaluation: Mapping[str, Any]) -> float:
    """The score of what a model listed, in (-1, 1], four decimals.

    Credit is the weight of each matched reference finding, w, or w² / (w + the weights of its errors in
    attributes); from it the weight of false findings is taken, and the rest divided by the weight of all
    reference findings. What is negative becomes -x / (1 + x), x the false weight beyond the credit.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is not in the form that was asked for.

    >>> effusion = {"id": "R1", "finding": "effusion", "clinical_significance": "actionable_not_urgent"}
    >>> wrong_side = {"ref_id": "R1", "pred_id": "P1", "severity": "significant", "error_types": ["location"]}
    >>> crimson_score({
    ...     "reference_findings": [effusion], "predicted_findings": [effusion | {"id": "P1"}],
    ...     "matched_findings": [{"ref_id": "R1", "pred_id": "P1"}],
    ...     "errors": {"attribute_errors": [wrong_side]},
    ... })
    0.5
    """
    errors, matched = evaluation.get("errors", {}), evaluation.get("matched_findings", [])
    listed = evaluation.get("reference_findings", [])
    theirs = {finding["id"]: _weight(finding) for finding in listed}
    ours = {finding["id"]: _weight(finding) for finding in evaluation.get("predicted_findings", [])}
    false = sum(ours.get(name, 0.0) for name in errors.get("false_findings", []))
    missing = sum(theirs.get(name, 0.0) for name in errors.get("missing_findings", []))
    wrong: dict[str, float] = defaultdict(float)
    for error in errors.get("attribute_errors", []):
        wrong[error.get("ref_id")] += SEVERITY.get(error.get("severity", ""), _OTHER)
    credit = 0.0
    for name in dict.fromkeys(pair["ref_id"] for pair in matched):  # matched to two findings it counts once
        weight = theirs.get(name, 0.0)
        if weight:
            credit += weight * (weight / (weight + wrong[name]))
    whole = sum(map(_weight, listed)) if listed else len(matched) + missing
    empty = 1.0 if false == missing == 0 else -1.0  # no finding of weight in the reference
    score = (credit - false) / whole if whole else empty
    if score < 0:
        beyond = false - credit
        score = -beyond / (1 + beyond) if beyond > 0 else 0.0
    return round(score, 4) + 0.0  # no minus before 0


def crimson_question(reference: str, generated: str, *, guidelines: bool = True) -> str:
    """What the model is asked, in the package's words.

    Args:
        reference: the reference report.
        generated: the generated report.
        guidelines: whether examples and guidelines stand in it; the authors' MedGemma was tuned without.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        build_prompt = import_module("CRIMSON.prompt_parts").build_prompt
    except ImportError as error:
        raise MissingDependencyError(
            "CRIMSON's question is in the package crimson-score, which is not installed: "
            "pip install --no-deps crimson-score"
        ) from error
    return build_prompt(
        reference,
        generated,
        include_significance_examples=guidelines,
        include_attribute_guidelines=guidelines,
    )


def read_crimson(answer: str) -> float | None:
    """The score of an answer; ``None`` unless it is the JSON object that was asked for, fenced or not.

    JSON that is broken the package mends, where it can. It also takes what is missing for empty, and so gives
    ``{}`` a score of 1; here such an answer has none.

    >>> read_crimson("{}") is None and read_crimson("The report is good.") is None
    True
    """
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json")
    try:
        evaluation = _loaded(text)
        if not all(isinstance(evaluation[part], kind) for part, kind in _PARTS.items()):
            return None
        return crimson_score(evaluation)
    except (ImportError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))  # the first of equals
    except ValueError:
        return import_module("CRIMSON.utils").parse_json_response(text)


def _weight(finding: Mapping[str, Any]) -> float:
    return SIGNIFICANCE.get(finding.get("clinical_significance", ""), _OTHER)
