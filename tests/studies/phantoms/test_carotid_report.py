"""The words: they state the truth, Findings entail the Impression, and no template would do."""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.reports import render_report
from radflow.sru import GRADES, sru_grade
from radflow.studies.phantoms.carotid import CarotidText, draw_carotid_text
from radflow.studies.phantoms.carotid.anatomy import stream
from radflow.studies.phantoms.carotid.report import PHRASES, truth_terms, write_indication, write_report

SIDES = ("right", "left")
OPENING = re.compile(r"\b(Right|Left)(?: side| carotid)?: |\b(Both sides|Bilateral): ")
GRADE_WORDS = {
    "stenosis below 50%": "<50%",
    "stenosis less than 50%": "<50%",
    "50-69%": "50-69%",
    "70% or more": ">=70%",
    "near occlusion": "near occlusion",
    "total occlusion": "occlusion",
    "complete occlusion": "occlusion",
}


@dataclass(frozen=True)
class Read:
    """What a plain reading of one side's text finds."""

    thickened: bool
    segments: list[str]
    grade: str


@pytest.fixture(scope="module")
def texts() -> list[CarotidText]:
    return [draw_carotid_text(index, seed=0) for index in range(1500)]


def blocks(section: str) -> dict[str, str]:
    """Split a section into what it says of each side."""
    parts = OPENING.split(section)
    if len(parts) == 1:
        return dict.fromkeys(SIDES, section)
    said = {}
    for one, both, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        said |= dict.fromkeys(SIDES, body) if both else {one.lower(): body}
    return said


def read_findings(body: str, which: int) -> Read:
    velocities = [int(value) for value in re.findall(r"(\d+) cm/s", body)]
    plaque = "plaque" in re.sub("no plaque|plaque is not", "", body.lower())
    psv = velocities[which % len(velocities)] if velocities else 0
    return Read(
        thickened="thickened" in body.replace("not thickened", "") or "increased" in body,
        segments=sorted(re.findall("CCA(?! ratio)|bulb|ICA(?!/)", body)),
        grade=sru_grade(psv, plaque=plaque, string_lumen="string-like" in body.lower()),
    )


def read_impression(body: str) -> Read:
    grades = {grade for words, grade in GRADE_WORDS.items() if words in body}
    assert len(grades) <= 1, body
    return Read(
        thickened="thicken" in body,
        segments=sorted(re.findall("CCA|bulb|ICA", body)),
        grade=next(iter(grades), "normal"),
    )


@settings(max_examples=250, deadline=None)
@given(index=st.integers(0, 1_000_000), seed=st.integers(0, 100))
def test_findings_entail_the_impression_and_both_are_true(index: int, seed: int):
    text = draw_carotid_text(index, seed=seed)
    found, concluded = blocks(text.findings), blocks(text.impression)
    for which, (side, facts) in enumerate(truth_terms(text.truth).items()):
        expected = Read(facts["thickened"], sorted(p["segment"] for p in facts["plaques"]), facts["grade"])
        assert read_findings(found[side], which) == expected, text.findings
        assert read_impression(concluded[side]) == expected, text.impression


def test_every_fact_of_a_plaque_is_in_its_sentence(texts: list[CarotidText]):
    for text in texts:
        for side, facts in truth_terms(text.truth).items():
            sentences = re.split(r"(?<=\.) ", blocks(text.findings)[side])
            for plaque in facts["plaques"]:
                words = [str(value) for value in plaque.values() if value is not None]
                assert any(all(word in line.lower() for word in map(str.lower, words)) for line in sentences)
            if not facts["plaques"]:
                assert f"{facts['psv']} cm/s" in text.findings
                assert f"{facts['imt_mm']} mm" in text.findings


def test_swapping_the_sides_swaps_the_words(texts: list[CarotidText]):
    for text in texts[:200]:
        swapped = {"visit": 0, "right": text.truth["left"], "left": text.truth["right"]}
        findings, impression = write_report(swapped, stream("swap"))
        for side, other in (("right", "left"), ("left", "right")):
            expected = truth_terms(text.truth)[other]["thickened"]
            assert read_impression(blocks(impression)[side]).thickened == expected
            assert read_findings(blocks(findings)[side], 0).thickened == expected


def test_no_template_would_do(texts: list[CarotidText]):
    reports = Counter(render_report(text.findings, text.impression) for text in texts)
    assert len(reports) / len(texts) > 0.9
    assert reports.most_common(1)[0][1] / len(texts) < 0.01
    impressions = Counter(text.impression for text in texts)
    assert len(impressions) > 300
    assert impressions.most_common(1)[0][1] / len(texts) < 0.35


def test_same_truth_is_worded_differently_and_truly(texts: list[CarotidText]):
    sick = next(text for text in texts if text.critical)
    wordings = {write_report(sick.truth, stream("again", key)) for key in range(50)}
    assert len(wordings) > 30
    readings = {repr([read_impression(blocks(said)[side]) for side in SIDES]) for _, said in wordings}
    assert len(readings) == 1


def test_reports_are_short_and_the_vocabulary_small(texts: list[CarotidText]):
    lengths = [len(f"{text.findings} {text.impression}".split()) for text in texts]
    assert 35 <= np.median(lengths) <= 90
    assert max(lengths) < 130
    words = {
        word.strip(string.punctuation)
        for text in texts
        for word in f"{text.findings} {text.impression}".split()
    }
    assert len(words) < 250


def test_every_phrase_is_used(texts: list[CarotidText]):
    said = " ".join(f"{text.findings} {text.impression}" for text in texts)
    for key, phrasings in PHRASES.items():
        for phrase in phrasings:
            pattern = re.sub(r"\\\{\w+\\\}", "[^:]+?", re.escape(phrase))
            assert re.search(pattern, said), (key, phrase)


def test_all_grades_have_words():
    assert {f"grade {grade}" for grade in GRADES[1:]} <= PHRASES.keys()


def test_indication_does_not_know_the_disease(texts: list[CarotidText]):
    first = [text for text in texts if text.truth["visit"] == 0]
    shares = [
        Counter(text.indication for text in first if text.critical == critical) for critical in (True, False)
    ]
    for indication in set().union(*shares):
        with_, without = (count[indication] / count.total() for count in shares)
        assert abs(with_ - without) < 0.07
    assert len({write_indication(2, stream(key)) for key in range(200)}) > 5
