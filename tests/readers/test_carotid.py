"""Carotid terms and labels, against the phantoms' ground truth and on other people's wording."""

import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.carotid import CAROTID_OBSERVATIONS, carotid_labels, carotid_terms, explain
from radflow.readers.carotid.numbers import grade_of_percentage, percentage, thickness_mm, velocity_cm_s
from radflow.reports import render_report
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.phantoms.carotid.report import truth_terms

SENTENCES = tomllib.loads(Path(__file__).with_name("carotid_sentences.toml").read_text(encoding="utf-8"))
STUDIES = [draw_carotid_text(index, seed=seed) for seed in (0, 1) for index in range(200)]


def terms_of(truth) -> set[str]:
    """The terms that a phantom's report must give, from its anatomy."""
    terms = set()
    for side, facts in truth_terms(truth).items():
        terms.add(f"imt:thickened@{side}" if facts["thickened"] else f"no:imt:thickened@{side}")
        terms.add(f"flow:{facts['flow']}@{side}")
        for plaque in facts["plaques"]:
            place = f"{side}-{plaque['segment']}"
            terms |= {
                f"plaque@{place}",
                f"plaque:{plaque['kind']}@{place}",
                f"stenosis:{facts['grade']}@{side}",
            }
            if plaque["wall"] is None:
                terms.add(f"plaque:occluding@{place}")
            else:
                terms |= {f"surface:{plaque['surface']}@{place}", f"wall:{plaque['wall']}@{place}"}
        if not facts["plaques"]:
            terms.add(f"no:plaque@{side}")
            if not facts["thickened"]:
                terms.add(f"normal@{side}")
        if facts["grade"] == "near occlusion":
            terms.add(f"lumen:string@{side}")
    return terms


def impression_labels_of(truth) -> set[str]:
    """The observations that a phantom's Impression states."""
    said = set()
    for side, facts in truth_terms(truth).items():
        if facts["thickened"]:
            said.add(f"{side} thickened intima-media")
        for plaque in facts["plaques"]:
            grade = facts["grade"]
            said |= {f"{side} plaque", f"{side} {plaque['segment']} plaque"}
            said.add(f"{side} {grade}" if "occlusion" in grade else f"{side} stenosis {grade}")
    return said or {"normal"}


def test_terms_are_exact_on_phantoms():
    for study in STUDIES:
        (got,) = carotid_terms([render_report(study.findings, study.impression)])
        assert got == terms_of(study.truth), study.study_id


def test_labels_of_the_impression_alone_are_exact_on_phantoms():
    for study in STUDIES:
        (labels,) = carotid_labels([study.impression])
        assert {name for name, state in labels.items() if state == 1} == impression_labels_of(study.truth), (
            study.study_id
        )


def test_labels_of_the_whole_report_know_kinds():
    for study in STUDIES[::4]:
        (labels,) = carotid_labels([render_report(study.findings, study.impression)])
        for side, facts in truth_terms(study.truth).items():
            kinds = {plaque["kind"] for plaque in facts["plaques"]}
            assert {
                kind for kind in ("hard", "soft", "mixed") if labels[f"{side} {kind} plaque"] == 1
            } == kinds
        assert labels["normal"] == int(not study.critical)


def test_the_phantoms_show_every_observation():
    seen = set()
    for study in STUDIES[1::4]:
        (labels,) = carotid_labels([render_report(study.findings, study.impression)])
        seen |= {
            name.removeprefix("right ").removeprefix("left ") for name, state in labels.items() if state == 1
        }
    assert seen == {name.removeprefix("right ").removeprefix("left ") for name in CAROTID_OBSERVATIONS}


@pytest.mark.parametrize("phenomenon", SENTENCES)
def test_hand_written_sentences(phenomenon):
    """Sentences of many wordings, each with exactly its terms."""
    wrong = {}
    for text, expected in SENTENCES[phenomenon].items():
        (got,) = carotid_terms([text])
        if got != set(expected):
            wrong[text] = sorted(got ^ set(expected))
    assert not wrong


def test_there_are_many_hand_written_sentences():
    assert sum(map(len, SENTENCES.values())) >= 120


def test_nothing_is_read_out_of_nothing():
    assert carotid_terms([""]) == [frozenset()]


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("60 %", "50-69%"),
        ("50 69 %", "50-69%"),
        ("50 % to 69 %", "50-69%"),
        ("80 to 99 %", ">=70%"),
        ("< 70 %", "50-69%"),
        ("less than or equal to 49 %", "<50%"),
        ("greater than or equal to 70 %", ">=70%"),
        ("70 % or higher", ">=70%"),
        ("69 50 %", "50-69%"),
        ("100 %", "occlusion"),
        ("0 %", None),
    ],
)
def test_percentages_to_grades(text, grade):
    assert grade_of_percentage(percentage(text.split())) == grade


@given(st.integers(1, 99), st.integers(1, 99))
def test_a_range_has_the_grade_of_its_lower_end_in_either_order(first, second):
    low = percentage(f"{min(first, second)} %".split())
    for text in (f"{first} {second} %", f"{first} to {second} %", f"{second} % to {first} %"):
        assert grade_of_percentage(percentage(text.split())) == grade_of_percentage(low)


@given(st.floats(0.1, 5).map(lambda value: round(value, 2)))
def test_millimetres_and_centimetres_agree(millimetres):
    words = f"{millimetres:.2f} mm {millimetres / 10:.3f} cm".split()
    assert thickness_mm(words, 0, 2) == pytest.approx(thickness_mm(words, 2, 4))
    assert velocity_cm_s(["1.25", "m", "/", "s"], 0, 4) == velocity_cm_s(["125", "cm", "/", "s"], 0, 4)


def test_explanations_quote_the_text_and_give_every_term():
    text = "Right bulb: no hard plaque. LICA: less than 50% stenosis, IMT 1.2 mm, possible thrombus."
    evidence = explain(text)
    shown = {(one.term, text[slice(*one.phrase)], one.rule) for one in evidence}
    assert shown == {
        ("no:plaque@right-bulb", "plaque", "'no' denies"),
        ("no:plaque:hard@right-bulb", "hard", "'no' denies"),
        ("stenosis:<50%@left", "less than 50%", "'less than 50%' is <50%"),
        ("imt:thickened@left", "IMT", "1.2 mm is 1 mm or more"),
        ("possible:thrombus@left-ICA", "thrombus", "'possible' hedges"),
    }
    cues = {one.term: text[slice(*one.cue)] for one in evidence if one.cue is not None}
    assert cues == {
        "no:plaque@right-bulb": "no",
        "no:plaque:hard@right-bulb": "no",
        "possible:thrombus@left-ICA": "possible",
    }


@pytest.mark.parametrize("study", STUDIES[:40], ids=lambda study: study.study_id)
def test_explanations_of_phantoms_give_the_terms(study):
    text = render_report(study.findings, study.impression)
    evidence = explain(text)
    assert {one.term for one in evidence} == carotid_terms([text])[0]
    assert all(text[slice(*one.phrase)].strip() and one.rule for one in evidence)


def test_a_significant_stenosis_hedges_the_grades_it_may_have():
    (labels,) = carotid_labels(["Left: hemodynamically significant stenosis of the ICA."])
    assert {name for name, state in labels.items() if state == -1} == {
        "left stenosis 50-69%", "left stenosis >=70%", "left near occlusion", "left occlusion",
    }  # fmt: skip
    assert labels["normal"] == 0


@pytest.mark.parametrize(
    "text", ["Right ECA stenosis of 60%.", "Left vertebral artery occlusion.", "Left subclavian plaque."]
)
def test_vessels_without_a_column_keep_a_report_from_being_normal(text):
    (labels,) = carotid_labels([f"Right: normal. Left: normal. {text}"])
    assert labels["normal"] == 0
    assert not any(state in (1, -1) for state in labels.values())


PIECES = [
    "right plaque, left bulb, ",
    "right, left, ",
    "ICA normal and ",
    "plaque 60% right and 40% left and ",
    "IMT 1.2 mm flow normal ",
    "both right left : ",
    "smooth intima hard ICA ",
]


@pytest.mark.parametrize("piece", PIECES)
def test_work_grows_with_the_length_and_not_faster(piece):
    short, long = lines_run(piece * 20), lines_run(piece * 160)
    assert long <= 9 * short


def lines_run(text: str) -> int:
    """How many lines of Python the reader runs: a clock that does not depend on the machine."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        carotid_terms([text])
    finally:
        sys.settrace(before)
    return count


def test_a_denial_never_equals_an_assertion():
    stated, denied = carotid_terms(["Right: plaque in the bulb.", "Right: no plaque in the bulb."])
    assert not stated & denied


def test_a_normal_side_denies_and_nothing_read_is_blank():
    normal, nothing = carotid_labels(["Right: normal. Left: normal.", "See above."])
    assert normal["normal"] == 1
    assert {normal[name] for name in CAROTID_OBSERVATIONS[:-1]} == {0}
    assert set(nothing.values()) == {None}


def test_observations_are_fixed():
    assert tuple(carotid_labels([""])[0]) == CAROTID_OBSERVATIONS
    assert len(set(CAROTID_OBSERVATIONS)) == len(CAROTID_OBSERVATIONS) == 27


WHERE = [
    "right",
    "left",
    "both",
    "bulb",
    "ICA",
    "RICA",
    "ECA",
    "vertebral",
    "arteries",
    "of",
    "the",
    "Impression:",
]
WHAT = [
    "plaque",
    "stenosis",
    "IMT",
    "PSV",
    "flow",
    "normal",
    "hard",
    "smooth",
    "occlusion",
    "status post",
    "stent",
]
MARKS = [
    "and",
    "or",
    "with",
    "no",
    "possible",
    ":",
    ".",
    ",",
    ";",
    "\n",
    "<",
    "to",
    "%",
    "/",
    "50",
    "1.2",
    "mm",
    "cm",
]
WORDS = [*WHERE, *WHAT, *MARKS]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)))
def test_never_raises_and_does_not_depend_on_the_batch(text):
    assert carotid_terms([text, "Right: no plaque."])[0] == carotid_terms([text])[0]
    assert tuple(carotid_labels([text])[0]) == CAROTID_OBSERVATIONS
    assert {one.term for one in explain(text)} == carotid_terms([text])[0]
    assert all(0 <= one.phrase.start < one.phrase.end <= len(text) for one in explain(text))
