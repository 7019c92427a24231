import pytest

from radflow.config import Reward, make_recipe
from radflow.errors import DataError, RecipeError
from radflow.metrics import bertscore, bleu2, rouge_l
from radflow.reports import Report, parse_report
from radflow.rewards import reward_of
from radflow.rewards.consistency import consistency_reward
from radflow.rewards.domain import DomainReward
from radflow.rewards.impression import ImpressionReward
from radflow.rewards.syntax import syntax_reward


def graph(texts):
    return [
        {
            "text": text,
            "entities": {
                str(i): {"tokens": word, "label": "OBS-DP", "start_ix": i, "end_ix": i, "relations": []}
                for i, word in enumerate(text.lower().split())
            },
        }
        for text in texts
    ]


def report(findings, impression):
    return Report(text=f"{findings} {impression}", findings=findings, impression=impression)


def test_syntax_is_the_mean_of_bleu2_and_rouge_l():
    generated, reference = ["Mild edema is seen.", ""], ["Mild pulmonary edema is seen.", "Clear."]
    expected = (bleu2(generated, reference) + rouge_l(generated, reference)) / 2
    assert syntax_reward(generated, reference).tolist() == expected.tolist()
    assert syntax_reward(generated, reference)[1] == 0.0


@pytest.mark.parametrize("metric", [bleu2, rouge_l, bertscore])
def test_one_metric_alone_is_the_reward_where_the_other_weights_are_zero(metric, studies):
    alone = Reward(syntax_metric=metric.__name__, domain=0, consistency=0, gamma=0)
    texts = ["Findings: Large effusion. Impression: Effusion.", "Heart enlarged."]
    found = reward_of(alone, "chest-xray")(studies[1], texts)
    expected = metric(texts, [studies[1].reference.canonical] * 2)
    assert [reward.total for reward in found] == pytest.approx(expected.tolist())


def test_a_recipe_says_which_metrics_syntax_can_be():
    with pytest.raises(RecipeError, match=r"reward.syntax_metric: .*bleu2\|bleu4\|rouge_l"):
        make_recipe({"reward": {"syntax_metric": "bleu3"}})


def test_domain_compares_findings_with_findings():
    domain = DomainReward("chest-xray", graph)
    ours, theirs = report("edema", "everything else"), report("edema", "normal")
    assert domain([ours], [theirs]).tolist() == [0.5]  # entities match, no relations: the ReXrank flavour


def test_domain_compares_full_texts_where_a_section_is_missing():
    domain = DomainReward("chest-xray", graph)
    headless = Report(text="edema", findings=None, impression=None)
    assert domain([headless], [report("edema", "edema")]).tolist() == [0.5]
    assert domain([report("edema", "edema")], [headless]).tolist() == [0.5]


def test_domain_of_ultrasound_is_keyword_match():
    domain = DomainReward("carotid-us", lambda texts: [frozenset(text.split()) for text in texts])
    assert domain([report("hard plaque", "x")], [report("soft plaque", "y")]).tolist() == [0.5]


def test_only_sectioned_reports_are_judged():
    asked = []

    def judge(pairs):
        asked.extend(pairs)
        return [True] * len(pairs)

    judge.name = "yes"
    headless = Report(text="edema", findings=None, impression=None)
    half = Report(text="edema", findings="edema", impression=None)
    assert consistency_reward([headless, report("a", "b"), half], judge).tolist() == [-1.0, 1.0, -1.0]
    assert asked == [("a", "b")]


def test_the_judge_is_left_alone_when_there_is_nothing_to_judge():
    def judge(pairs):
        raise AssertionError("asked about nothing")

    judge.name = "unasked"
    assert consistency_reward([], judge).shape == (0,)
    assert consistency_reward([parse_report("no headers")], judge).tolist() == [-1.0]


@pytest.mark.parametrize(("state", "expected"), [(1, 1.0), (-1, 1.0), (0, 0.0), (None, 0.0)])
def test_uncertain_counts_as_positive_in_the_impression(state, expected):
    states = {"generated": {"Edema": state}, "reference": {"Edema": 1}}
    term = ImpressionReward("chest-xray", lambda texts: [states[text] for text in texts])
    assert term([report("f", "generated")], [report("f", "reference")]) == [expected]


def test_domain_and_impression_can_be_another_metric_that_sees_the_side():
    ours, theirs = (report(f"Small {side} effusion.", f"{side} effusion.") for side in ("left", "right"))
    assert DomainReward("chest-xray", metric="finding_match")([ours], [theirs])[0] < 0.2
    assert ImpressionReward("chest-xray")([ours], [theirs]) == [1.0]
    (value,) = ImpressionReward("chest-xray", metric="finding_match")([ours], [theirs])
    assert value < 0.2


@pytest.mark.parametrize(
    ("modality", "metric"),
    [("carotid-us", "finding_match"), ("chest-xray", "bertscore"), ("chest-xray", "x")],
)
def test_a_metric_that_cannot_be_trained_on_is_refused(modality, metric):
    for term in (DomainReward, ImpressionReward):
        with pytest.raises(
            DataError, match=f"Expected a metric for the reward of {modality} among .*{metric}"
        ):
            term(modality, metric=metric)
