"""R_imp that does not pay for silence, and the preset that asks for it."""

import numpy as np
import pytest

from radflow import config
from radflow.config import make_recipe
from radflow.errors import DataError
from radflow.metrics.label_gain import LabelCounts
from radflow.reports import parse_report
from radflow.rewards import (
    DiagnosisReward,
    HierarchicalReward,
    label_prevalence,
    prediction_counts,
    reward_of,
)
from radflow.studies import Study

NORMAL = "Findings: Lungs are clear. No pleural effusion. No pneumothorax. Impression: Normal chest."
SICK = "Findings: Small left pleural effusion. No pneumothorax. Impression: Left pleural effusion."
MORE = "Findings: Small left pleural effusion. Rib fracture. Impression: Left pleural effusion."
ODD = NORMAL.replace("Lungs are clear.", "Lungs are clear. Granuloma.")


def term(**knobs):
    knobs = {"labels": "f_beta", "target": "report", **knobs}
    return DiagnosisReward("chest-xray", config.Reward(**knobs))


def paid(reward, ours, theirs):
    return reward([parse_report(ours)], [parse_report(theirs)])[0]


def test_on_a_normal_study_a_clean_report_earns_the_constant_and_an_invention_takes_from_it():
    reward = term(silence=0.2)
    assert paid(reward, NORMAL, NORMAL) == pytest.approx(0.2)
    assert 0 < paid(reward, SICK.replace("No pneumo", "No edema. No pneumo"), NORMAL) < 0.1
    assert paid(reward, "Stable.", NORMAL) == paid(reward, "", NORMAL) == 0  # it denies nothing


def test_on_an_abnormal_study_silence_earns_nothing_and_the_right_labels_1():
    reward = term()
    assert paid(reward, SICK, SICK) == 1
    assert 0 < paid(reward, MORE, SICK) < 1
    assert paid(reward, NORMAL, SICK) == paid(reward, "", SICK) == 0


def test_a_finding_beyond_the_labels_costs_where_the_reference_has_it_not():
    plain, strict = term(), term(inventions=0.5)
    assert paid(plain, ODD, NORMAL) == paid(plain, NORMAL, NORMAL)
    assert paid(strict, ODD, NORMAL) == pytest.approx(paid(plain, ODD, NORMAL) - 0.25)
    assert paid(strict, ODD, ODD) == paid(plain, ODD, ODD)


def test_what_is_read_is_the_impression_or_the_whole_report():
    hidden = SICK.replace("Impression: Left pleural effusion", "Impression: Normal chest")
    assert paid(term(target="impression"), hidden, SICK) == 0
    assert paid(term(target="report"), hidden, SICK) == 1
    headless = "Small left pleural effusion."
    assert paid(term(target="impression"), headless, SICK) is None
    assert paid(term(target="report"), headless, SICK) == 1


def test_a_rare_label_is_worth_more_and_each_label_must_have_a_prevalence():
    common = label_prevalence([parse_report(SICK)] * 20 + [parse_report(MORE)], "chest-xray")
    assert common["Pleural Effusion"] > common["Fracture"] > common["Edema"] > 0
    both = config.Reward(labels="f_beta", target="report", rarity=1.0)
    reward = DiagnosisReward("chest-xray", both, prevalence=common)
    fracture = "Findings: Rib fracture. Impression: Fracture."
    assert paid(reward, fracture, MORE) > paid(reward, SICK, MORE)
    with pytest.raises(DataError, match="Expected the prevalence of each of"):
        DiagnosisReward("chest-xray", both, prevalence={"Edema": 0.5})


def test_the_marginal_reward_counts_on_what_the_split_was_predicted_to_be():
    reports = [parse_report(text) for text in (NORMAL, SICK, SICK, MORE)]
    counts = prediction_counts([reports[i] for i in (0, 0, 1, 1)], reports, "chest-xray")
    assert (counts.hits.sum(), counts.false_alarms.sum(), counts.misses.sum()) == (2, 0, 2)
    knobs = config.Reward(labels="marginal", target="report")
    reward = DiagnosisReward("chest-xray", knobs, counts=counts)
    assert paid(reward, NORMAL, NORMAL) == 0
    assert paid(reward, NORMAL, SICK) < 0 < paid(reward, SICK, SICK)
    assert paid(reward, SICK, NORMAL) < 0
    for wrong in (
        None,
        LabelCounts(
            hits=np.ones(1, dtype=int),
            false_alarms=np.ones(1, dtype=int),
            misses=np.ones(1, dtype=int),
            reports=1,
        ),
    ):
        with pytest.raises(DataError, match="Expected counts of 13 labels"):
            DiagnosisReward("chest-xray", knobs, counts=wrong)


# ---- presets ---------------------------------------------------------------------------------------------


def test_paper_is_the_reward_that_was_bit_for_bit():
    study = Study(study_id="s", patient_id="p", images=(), reference=parse_report(SICK))
    texts = [NORMAL, SICK, MORE, ODD, "", "Stable."]
    plain = HierarchicalReward(modality="chest-xray")(study, texts)
    assert reward_of(config.Reward(), "chest-xray")(study, texts) == plain
    assert reward_of(config.Reward(preset="paper"), "chest-xray")(study, texts) == plain


def test_a_preset_sets_what_the_recipe_does_not():
    knobs = make_recipe({"reward": {"preset": "diagnosis", "gamma": 7}}).reward
    assert (knobs.gamma, knobs.labels, knobs.target) == (7, "f_beta", "report")
    assert make_recipe({"reward": knobs.model_dump()}).reward == knobs
    assert config.Reward(preset="paper") == config.Reward()


@pytest.mark.parametrize("modality", ["chest-xray", "carotid-us"])
def test_every_modality_has_the_preset(modality):
    reward = reward_of(config.Reward(preset="diagnosis"), modality)
    study = Study(study_id="s", patient_id="p", images=(), reference=parse_report(SICK), modality=modality)
    assert reward(study, [SICK])[0].total >= reward(study, [""])[0].total
