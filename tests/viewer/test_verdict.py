import pytest

from radflow.viewer.records import Interval, Results
from radflow.viewer.verdict import label_metric, tone, verdict

UP = Interval(mean=0.1, low=0.05, high=0.15)
DOWN = Interval(mean=-0.1, low=-0.15, high=-0.05)
FLAT = Interval(mean=0.01, low=-0.05, high=0.07)


@pytest.mark.parametrize(
    ("reward", "label", "said"),
    [
        (UP, UP, "RFT raised the reward over SFT (+0.100 [+0.050, +0.150]); CheXpert F1 rose (+0.100 "),
        (UP, DOWN, ", but CheXpert F1 fell (−0.100 [−0.150, −0.050])."),
        (UP, FLAT, "; CheXpert F1 did not clearly change (+0.010 [−0.050, +0.070])."),
        (DOWN, FLAT, "RFT lowered the reward over SFT (−0.100 [−0.150, −0.050])"),
        (FLAT, FLAT, "RFT made no clear difference to the reward (+0.010 [−0.050, +0.070])"),
    ],
)
def test_the_verdict_follows_the_intervals(reward, label, said):
    assert said in verdict(Results(gain={"reward": reward, "chexpert_f1": label}))


def test_the_verdict_counts_the_studies_of_the_split():
    results = Results(gain={"reward": UP}, cases=2347, split="validate")
    assert verdict(results).endswith(" on 2,347 validate studies.")


def test_a_run_that_kept_the_sft_model_is_no_comparison():
    same = Interval(mean=0.0, low=0.0, high=0.0)
    said = verdict(Results(gain={"reward": same, "chexpert_f1": same}, cases=300))
    assert said == "RFT kept the SFT model: both write the same reports on 300 test studies."


def test_without_a_comparison_the_verdict_says_so():
    assert verdict(Results()) == "This run did not compare reinforcement fine-tuning with SFT."


def test_a_lower_is_better_metric_that_falls_is_better():
    assert tone("radcliq_v1", DOWN, Results()) == "better"
    assert tone("radcliq_v1", UP, Results()) == "worse"
    assert tone("bleu2", FLAT, Results()) == "unclear"
    assert tone("mine", DOWN, Results(higher_is_better={"mine": False})) == "better"


def test_the_label_metric_is_the_one_the_run_has():
    assert label_metric(Results(gain={"carotid_f1": UP})) == "carotid_f1"
    assert label_metric(Results(gain={"bleu2": UP})) is None


def test_the_verdict_names_the_controls_that_were_not_beaten():
    over = {"template": {"reward": UP}, "sft-continued": {"reward": UP}, "best-of-n": {"reward": FLAT}}
    over["sft-continued"]["chexpert_f1"] = over["best-of-n"]["chexpert_f1"] = DOWN
    said = verdict(Results(gain={"reward": UP, "chexpert_f1": UP}, gain_over=over))
    assert "Total reward: RadFlow is above SFT and SFT continued, not above best of n." in said
    assert said.endswith("CheXpert F1: RadFlow is above SFT, not above SFT continued or best of n.")
    assert "above" not in verdict(Results(gain={"reward": UP}, gain_over={"template": {"reward": UP}}))
