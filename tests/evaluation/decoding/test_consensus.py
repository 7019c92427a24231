import numpy as np
import pytest

from radflow.errors import DataError
from radflow.evaluation.decoding.consensus import Consensus
from radflow.metrics import score
from radflow.modality import CAROTID, CHEST

GROUPS = [
    ["Lungs are clear.", "Edema. Fracture.", "Edema.", "Edema and cardiomegaly.", "Edema.", "Clear lungs."],
    ["Pneumonia.", "Lungs are clear.", "The lungs are clear.", "Lungs are quite clear.", "Edema."],
    ["The same."] * 3,
]


@pytest.mark.parametrize("utility", ["labels", "bleu2", "radgraph_f1"])
def test_the_chosen_sample_has_the_greatest_mean_utility_against_the_others(utility):
    metric = "chexpert_f1" if utility == "labels" else utility
    for group, chosen in zip(GROUPS, Consensus(CHEST, utility)(GROUPS), strict=True):
        means = []
        for i, text in enumerate(group):
            others = [other for j, other in enumerate(group) if j != i]
            means.append(
                [score([text] * len(others), others, [name])[name].mean() for name in (metric, "bleu2")]
            )
        rounded = np.round(means, 9).tolist()
        assert chosen == max(range(len(group)), key=lambda i: (rounded[i], -i))


def test_a_vote_keeps_what_enough_samples_assert_and_mean_utility_may_not():
    group = ["Clear lungs."] * 3 + ["Edema.", "Edema."]
    chosen = {share: Consensus(CHEST, "vote", share=share)([group]) for share in (0.4, 0.5)}
    assert chosen == {0.4: [3], 0.5: [0]}
    assert Consensus(CHEST)([group]) == [0]


def test_a_choice_does_not_depend_on_the_groups_beside_it():
    choose = Consensus(CHEST)
    assert choose(GROUPS) == [choose([group])[0] for group in GROUPS]
    assert choose([]) == []


def test_ultrasound_has_its_own_labels():
    plaque, none = "Right: soft plaque in the bulb. Left: no plaque.", "No plaque on either side."
    assert Consensus(CAROTID)([[none, plaque, "Right: soft plaque in the bulb."]]) == [1]
    assert Consensus(CAROTID).words == "Carotid F1 (rules)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"utility": "bleu3"}, "Did you mean 'bleu"), ({"utility": "vote", "share": 0.0}, "vote_share")],
)
def test_what_cannot_be_asked_for_is_one_error(arguments, said):
    with pytest.raises(DataError, match=said):
        Consensus(CHEST, **arguments)
