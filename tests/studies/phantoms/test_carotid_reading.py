"""Readers differ where readers do, in the stated share, and their reports stay consistent with themselves."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from radflow.judges import load
from radflow.readers.carotid.labels import carotid_labels
from radflow.reports import parse_report, render_report
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.phantoms.carotid.anatomy import sample_anatomy, stream
from radflow.studies.phantoms.carotid.reading import BESIDE, DISAGREEMENT, NEIGHBOURS, read

SIDES = ("right", "left")
Truths = list[dict[str, Any]]


@pytest.fixture(scope="module")
def truths() -> Truths:
    return [sample_anatomy(index, seed=0, difficulty=1).truth() for index in range(1500)]


def test_who_has_no_doubt_reads_the_truth_and_no_reading_changes_it(truths: Truths):
    before = deepcopy(truths[:300])
    assert [read(truth, stream(i), share=0) for i, truth in enumerate(truths[:300])] == before
    for key, truth in enumerate(truths[:300]):
        read(truth, stream(key), share=1)
    assert truths[:300] == before


@pytest.mark.parametrize("share", [0.1, DISAGREEMENT, 1.0])
def test_kinds_and_velocities_beside_a_limit_are_read_otherwise_in_the_stated_share(
    truths: Truths, share: float
):
    kinds, crossed = [], []
    for key, truth in enumerate(truths):
        told = read(truth, stream(key), share=share)
        for side in SIDES:
            true, said = truth[side], told[side]
            for plaque, other in zip(true["plaques"], said["plaques"], strict=True):
                kinds.append(plaque["kind"] != other["kind"])
                assert other["kind"] in (plaque["kind"], *NEIGHBOURS[plaque["kind"]])
                assert {**other, "kind": plaque["kind"]} == plaque
            if true["psv"] in BESIDE and true["plaques"] and true["plaques"][0]["segment"] != "CCA":
                if true["grade"] != "near occlusion":
                    crossed.append(said["grade"] != true["grade"])
            else:
                assert {**said, "plaques": true["plaques"]} == true
    for found in (kinds, crossed):
        assert len(found) > 50
        assert np.mean(found) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(found)))


def test_reports_of_hard_studies_are_consistent_and_state_what_was_read():
    texts = [draw_carotid_text(index, seed=1, difficulty=1) for index in range(200)]
    judge = load("rules")
    verdicts = judge([(text.findings, text.impression) for text in texts])
    assert all(verdicts)
    labels = carotid_labels([parse_report(render_report(t.findings, t.impression)).canonical for t in texts])
    differ = 0
    for text, label in zip(texts, labels, strict=True):
        for side in SIDES:
            told = {kind for kind in NEIGHBOURS if label[f"{side} {kind} plaque"] == 1}
            true = {plaque["kind"] for plaque in text.truth[side]["plaques"]}
            assert bool(told) == bool(true)
            differ += told != true
    assert differ > 10


@pytest.mark.parametrize("difficulty", [-0.1, 1.5])
def test_a_difficulty_out_of_range_is_refused(difficulty: float):
    with pytest.raises(ValueError, match="a difficulty between 0 and 1"):
        draw_carotid_text(0, seed=0, difficulty=difficulty)
