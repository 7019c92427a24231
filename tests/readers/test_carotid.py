"""Carotid terms and labels, against the phantoms' ground truth and on other people's wording."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.carotid import CAROTID_OBSERVATIONS, carotid_labels, carotid_terms
from radflow.reports import render_report
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.phantoms.carotid_report import truth_terms

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
    for study in STUDIES:
        (labels,) = carotid_labels([render_report(study.findings, study.impression)])
        for side, facts in truth_terms(study.truth).items():
            kinds = {plaque["kind"] for plaque in facts["plaques"]}
            assert {
                kind for kind in ("hard", "soft", "mixed") if labels[f"{side} {kind} plaque"] == 1
            } == kinds
        assert labels["normal"] == int(not study.critical)


def test_the_phantoms_show_every_observation():
    seen = set()
    for study in STUDIES:
        (labels,) = carotid_labels([render_report(study.findings, study.impression)])
        seen |= {
            name.removeprefix("right ").removeprefix("left ") for name, state in labels.items() if state == 1
        }
    assert seen == {name.removeprefix("right ").removeprefix("left ") for name in CAROTID_OBSERVATIONS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Calcified plaque in the left carotid bulb.", {"plaque@left-bulb", "plaque:hard@left-bulb"}),
        ("No stenosis on the right.", {"no:stenosis@right"}),
        ("Right internal carotid artery: 60% stenosis.", {"stenosis:50-69%@right"}),
        ("Left ICA stenosis of 80-90%.", {"stenosis:>=70%@left"}),
        ("Left ICA stenosis < 40%.", {"stenosis:<50%@left"}),
        ("Right: IMT 1.2 mm.", {"imt:thickened@right"}),
        ("Right: IMT 0.7 mm.", {"no:imt:thickened@right"}),
        ("No plaque on either side.", {"no:plaque@right", "no:plaque@left"}),
        ("Right: possible plaque in the ICA.", {"possible:plaque@right-ICA"}),
        ("Left carotid: total occlusion.", {"stenosis:occlusion@left"}),
        ("The left ICA is occluded.", {"stenosis:occlusion@left"}),
        ("Right: hard plaque in the bulb and soft plaque in the ICA.",
         {"plaque@right-bulb", "plaque:hard@right-bulb", "plaque@right-ICA", "plaque:soft@right-ICA"}),
        ("Heart size is normal.", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_terms_in_other_words(text, expected):
    assert carotid_terms([text])[0] == expected


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


words = st.sampled_from(
    [
        "right",
        "left",
        ":",
        ".",
        ",",
        "both",
        "plaque",
        "no",
        "bulb",
        "ICA",
        "stenosis",
        "%",
        "50",
        "69",
        "IMT",
        "1.2",
        "mm",
        "flow",
        "normal",
        "hard",
        "and",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(words, max_size=40).map(" ".join)))
def test_never_raises_and_does_not_depend_on_the_batch(text):
    assert carotid_terms([text, "Right: no plaque."])[0] == carotid_terms([text])[0]
    assert tuple(carotid_labels([text])[0]) == CAROTID_OBSERVATIONS
