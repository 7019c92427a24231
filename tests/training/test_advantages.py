"""From rewards to advantages, as the recipe says."""

import math

import numpy as np
import pytest
import torch

from radflow.capo import group_advantage
from radflow.config import Rft
from radflow.rewards import PARTS
from radflow.training.advantages import rollout_advantages

WEIGHTS = {"syntax": 0.5, "domain": 1.0, "consistency": 1.0, "impression": 2.0}
ABNORMAL = np.array([True, False, False])


@pytest.fixture
def parts():
    draw = np.random.default_rng(0)
    found = {term: draw.random((3, 4)) for term in PARTS}
    found["consistency"] = np.sign(found["consistency"] - 0.5)
    found["impression"][0] = math.nan  # the reference has none
    found["impression"][1, 2] = math.nan  # one report has none
    return found


def total(parts):
    return sum(WEIGHTS[term] * np.nan_to_num(values) for term, values in parts.items())


def test_the_sum_is_eq_1_bit_for_bit(parts):
    found = rollout_advantages(total(parts), parts, WEIGHTS, Rft()).values
    assert torch.equal(found, group_advantage(torch.tensor(total(parts), dtype=torch.float32)))


@pytest.mark.parametrize("advantage", ["sum", "decoupled"])
@pytest.mark.parametrize("conditioned", [(), ("consistency", "syntax")])
@pytest.mark.parametrize("abnormal", [None, ABNORMAL])
@pytest.mark.parametrize("scale", [True, False])
def test_the_terms_add_up_to_the_advantage(parts, advantage, conditioned, abnormal, scale):
    knobs = Rft(advantage=advantage, conditioned=conditioned, scale_rewards=scale)
    found = rollout_advantages(total(parts), parts, WEIGHTS, knobs, abnormal)
    assert sum(found.shares.values()).numpy() == pytest.approx(found.values.numpy(), abs=1e-5)
    assert found.values.sum(-1).tolist() == pytest.approx([0] * 3, abs=1e-5)


def test_a_skipped_term_counts_like_0_in_the_sum_and_not_at_all_where_terms_are_decoupled(parts):
    filled = {**parts, "impression": np.nan_to_num(parts["impression"])}
    for advantage, same in (("sum", True), ("decoupled", False)):
        skipped, as_0 = (
            rollout_advantages(total(p), p, WEIGHTS, Rft(advantage=advantage)) for p in (parts, filled)
        )
        assert torch.allclose(skipped.values, as_0.values) == same
        assert (skipped.shares["impression"][0] == 0).all()
    assert skipped.shares["impression"][1, 2] == 0 > as_0.shares["impression"][1, 2]


@pytest.mark.parametrize("advantage", ["sum", "decoupled"])
def test_consistency_is_no_merit_where_the_labels_are_wrong(advantage):
    parts = {
        "syntax": np.full((1, 4), 0.5),
        "domain": np.full((1, 4), 0.5),
        "consistency": np.array([[1.0, -1.0, 1.0, -1.0]]),
        "impression": np.array([[0.0, 0.0, 1.0, 1.0]]),
    }
    plain, kept = (
        rollout_advantages(total(parts), parts, WEIGHTS, Rft(advantage=advantage, conditioned=easy)).values[0]
        for easy in ((), ("consistency",))
    )
    assert plain[0] > plain[1]  # wrong and consistent is better than wrong ...
    assert kept[0] == kept[1]  # ... and no longer
    assert kept[2] > kept[3] > kept[0]


def test_balanced_classes_keep_the_order_within_a_study(parts):
    plain, balanced = (
        rollout_advantages(total(parts), parts, WEIGHTS, Rft(), classes).values
        for classes in (None, ABNORMAL)
    )
    assert torch.equal(plain.argsort(-1), balanced.argsort(-1))
    assert torch.allclose(balanced[0], 1.5 * plain[0])
    assert torch.allclose(balanced[1:], 0.75 * plain[1:])
