import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError, RecipeError, RewardError
from radflow.reports import parse_report, render_report
from radflow.rewards import PARTS, HierarchicalReward
from radflow.studies import Study

REFERENCE = "Findings: hard plaque in the bulb. Impression: plaque with stenosis."


def read_words(texts):
    return [frozenset(text.lower().replace(".", "").split()) for text in texts]


def label_words(texts):
    return [
        {word: int(word in text.lower()) for word in ("plaque", "stenosis", "occlusion")} for text in texts
    ]


def yes_unless_wrong(pairs):
    return ["wrong" not in impression for _, impression in pairs]


yes_unless_wrong.name = "fixed"


def reward_of(**settings_):
    return HierarchicalReward(
        modality="carotid-us",
        judge=yes_unless_wrong,
        domain_reader=read_words,
        labeler=label_words,
        **settings_,
    )


def study_of(text, study_id="s1"):
    return Study(
        study_id=study_id, patient_id="p1", images=(), reference=parse_report(text), modality="carotid-us"
    )


def test_the_reference_itself_gets_the_most():
    reward = reward_of()(study_of(REFERENCE), [REFERENCE])[0]
    assert reward.parts == {"syntax": 1.0, "domain": 1.0, "consistency": 1.0, "impression": 1.0}
    assert reward.total == 4.0


def test_the_total_is_equation_4_and_5():
    text = "Findings: soft plaque in the bulb. Impression: wrong plaque."
    reward = reward_of(gamma=0.5, syntax_weight=2.0, domain_weight=3.0, consistency_weight=4.0)(
        study_of(REFERENCE), [text]
    )[0]
    parts = reward.parts
    assert parts["domain"] == pytest.approx(2 * 4 / 10)  # "soft" for "hard" among five words each
    assert parts["consistency"] == -1.0
    assert parts["impression"] == pytest.approx(2 / 3)  # plaque found, stenosis missed
    expected = 2 * parts["syntax"] + 3 * parts["domain"] - 4 + 0.5 * parts["impression"]
    assert reward.total == pytest.approx(expected)


def test_a_report_without_headers_skips_the_impression_and_is_not_consistent():
    reward = reward_of()(study_of(REFERENCE), ["hard plaque in the bulb. plaque with stenosis."])[0]
    assert reward.parts["impression"] is None
    assert reward.parts["consistency"] == -1.0
    assert reward.parts["domain"] > 0.5  # full text against full text
    assert reward.total == pytest.approx(reward.parts["syntax"] + reward.parts["domain"] - 1)


vocabulary = st.sampled_from(["hard", "soft", "plaque", "bulb", "stenosis", "the", "in"])
words = st.lists(vocabulary, min_size=1, max_size=8)


@given(words.map(" ".join), words.map(" ".join))
@settings(max_examples=100)
def test_dropping_the_headers_of_a_consistent_report_never_pays(findings, impression):
    whole = render_report(f"{findings}.", f"{impression}.")
    headless = f"{findings}. {impression}."
    with_headers, without = reward_of()(study_of(REFERENCE), [whole, headless])
    assert with_headers.parts["consistency"] == 1.0
    assert without.total < with_headers.total


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Findings: plaque.",
        "Findings: plaque. Impression:",
        "Findings: plaque. Impression: None",
        "Impression: plaque. Findings: plaque.",
        "Findings: plaque. Impression: stenosis. Impression: normal.",
    ],
)
def test_an_absent_or_ambiguous_section_is_never_zero_but_none(text):
    reward = reward_of()(study_of(REFERENCE), [text])[0]
    assert reward.parts["impression"] is None
    assert reward.parts["consistency"] == -1.0


def test_an_impression_alone_is_rewarded_as_one_and_is_not_consistent():
    reward = reward_of()(study_of(REFERENCE), ["Impression: plaque with stenosis."])[0]
    assert reward.parts["impression"] == 1.0
    assert reward.parts["consistency"] == -1.0


@given(words.map(" ".join), words.map(" ".join))
@settings(max_examples=100)
def test_dropping_the_findings_of_a_consistent_report_never_pays(findings, impression):
    texts = [render_report(f"{findings}.", f"{impression}."), f"Impression: {impression}."]
    whole, alone = reward_of()(study_of(REFERENCE), texts)
    assert whole.parts["impression"] == alone.parts["impression"]
    assert alone.total < whole.total


@pytest.mark.parametrize("reference", ["Impression: plaque.", "Findings: hard plaque."])
def test_a_reference_of_one_section_skips_consistency_for_everybody(reference):
    asked = []

    def judge(pairs):
        asked.extend(pairs)
        return [True] * len(pairs)

    judge.name = "yes"
    reward = HierarchicalReward(
        modality="carotid-us", judge=judge, domain_reader=read_words, labeler=label_words
    )
    texts = [reference, REFERENCE, "plaque"]
    rewards = reward(study_of(reference), texts)
    assert [r.parts["consistency"] for r in rewards] == [None] * 3
    assert asked == []
    known = [1.0, 2 / 3, None] if reference.startswith("Impression") else [None] * 3
    assert [r.parts["impression"] for r in rewards] == pytest.approx(known)
    assert rewards[0].total == max(r.total for r in rewards)


def test_findings_without_a_header_are_rewarded_like_findings_with_one():
    study = study_of(REFERENCE)
    bare = study_of(REFERENCE.removeprefix("Findings: "))
    texts = ["Findings: soft plaque. Impression: plaque.", "Soft plaque.\nIMPRESSION: plaque."]
    with_header, without = reward_of()(study, texts)
    for part in ("domain", "consistency", "impression"):
        assert with_header.parts[part] == without.parts[part]
    assert reward_of()(bare, texts[:1])[0].parts == with_header.parts


def test_a_reference_without_impression_skips_the_term_for_everybody():
    rewards = reward_of()(study_of("hard plaque in the bulb."), [REFERENCE, "hard plaque"])
    assert [r.parts["impression"] for r in rewards] == [None, None]
    assert [r.parts["consistency"] for r in rewards] == [1.0, -1.0]  # this needs no reference


def test_two_silent_impressions_agree():
    text = "Findings: smooth wall. Impression: normal."
    assert reward_of()(study_of(text), ["Findings: smooth. Impression: clean."])[0].parts["impression"] == 1.0


sentences = st.sampled_from(["hard plaque.", "no stenosis.", "occlusion wrong.", ""])
reports = st.builds(
    lambda f, i, h: f"Findings: {f} Impression: {i}" if h else f"{f} {i}", sentences, sentences, st.booleans()
)


@given(st.lists(st.lists(reports, max_size=3), max_size=4), st.lists(reports, min_size=4, max_size=4))
@settings(max_examples=60)
def test_a_reward_depends_on_its_own_report_and_reference_only(groups, references):
    studies = [study_of(text, f"s{n}") for n, text in enumerate(references[: len(groups)])]
    together = reward_of().score_many(studies, groups)
    assert [len(group) for group in together] == [len(group) for group in groups]
    for study, group, rewards in zip(studies, groups, together, strict=True):
        for text, reward in zip(group, rewards, strict=True):
            assert reward_of()(study, [text])[0] == reward
            assert -1.0 <= reward.total <= 4.0
            assert tuple(reward.parts) == PARTS


def test_what_the_reference_says_is_read_once():
    seen = []

    def counting(texts):
        seen.extend(texts)
        return read_words(texts)

    reward = HierarchicalReward(
        modality="carotid-us", judge=yes_unless_wrong, domain_reader=counting, labeler=label_words
    )
    for _ in range(3):
        reward(study_of(REFERENCE), ["Findings: soft plaque. Impression: plaque."] * 4)
    assert sorted(seen) == ["hard plaque in the bulb.", "soft plaque."]


def test_a_judge_that_fails_is_an_error_never_a_value():
    def unreachable(pairs):
        raise ConnectionError("no route")

    def silent(pairs):
        return []

    def undecided(pairs):
        return [None] * len(pairs)

    for judge, message in ((unreachable, "no route"), (silent, "expected 1 answers"), (undecided, "None")):
        judge.name = "broken"
        reward = HierarchicalReward(
            modality="carotid-us", judge=judge, domain_reader=read_words, labeler=label_words
        )
        with pytest.raises(RewardError, match=message):
            reward(study_of(REFERENCE), [REFERENCE])


def test_bad_settings_and_studies_are_refused():
    with pytest.raises(DataError, match="weight of impression"):
        reward_of(gamma=-1.0)
    with pytest.raises(DataError, match="weight of syntax"):
        reward_of(syntax_weight=math.nan)
    with pytest.raises(DataError, match="'knee-mri'"):
        HierarchicalReward(modality="knee-mri")
    with pytest.raises(RecipeError, match="'gpt'"):
        HierarchicalReward(modality="carotid-us", judge="gpt")
    chest = Study(study_id="c1", patient_id="p", images=(), reference=parse_report(REFERENCE))
    with pytest.raises(DataError, match=r"study c1: expected modality carotid-us"):
        reward_of()(chest, ["a"])
    with pytest.raises(DataError, match="one list of completions per study"):
        reward_of().score_many([study_of(REFERENCE)], [])
    with pytest.raises(DataError, match="got a string"):
        reward_of()(study_of(REFERENCE), "a")


@pytest.mark.parametrize(
    ("modality", "text", "worse"),
    [
        (
            "chest-xray",
            "Findings: Small left pleural effusion. Enlarged heart. Impression: Left pleural effusion.",
            "Findings: Small left pleural effusion. Enlarged heart. Impression: Right pneumothorax.",
        ),
        (
            "carotid-us",
            "Findings: Right: hard plaque in the ICA. PSV 90 cm/s. Left: no plaque. "
            "Impression: Right: ICA plaque with stenosis below 50%. Left: normal.",
            "Findings: Right: hard plaque in the ICA. PSV 90 cm/s. Left: no plaque. "
            "Impression: Right: normal. Left: total occlusion.",
        ),
    ],
)
def test_with_the_real_readers(modality, text, worse):
    study = Study(study_id="s", patient_id="p", images=(), reference=parse_report(text), modality=modality)
    good, bad = HierarchicalReward(modality=modality)(study, [text, worse])
    assert good.parts["consistency"] == good.parts["impression"] == good.parts["syntax"] == 1.0
    assert bad.parts["consistency"] == -1.0
    assert bad.parts["impression"] < 1.0
    assert bad.parts["domain"] == good.parts["domain"] > 0.4  # the Findings are the same
