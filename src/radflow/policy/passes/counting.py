"""The compute of training, counted and not timed, so that it is the same on every machine.

The unit is a token pass: one token of a prompt or a completion once forward through the model. Forward and
backward together are three (Kaplan et al. 2020, arXiv:2001.08361, section 2.1: the backward pass takes about
twice the forward one). Padding, recomputed activations and the vision tower are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from radflow.policy.groups import Group
from radflow.policy.load import Policy
from radflow.policy.sampling.decode import can_decode

FORWARD = 1
FORWARD_AND_BACKWARD = 3


def sampling_passes(policy: Policy, groups: Sequence[Group]) -> int:
    """Token passes that sampling took: each prompt once, or once per completion by ``generate``."""
    once = can_decode(policy.model)
    return FORWARD * sum(
        len(policy.encoder(group.study).input_ids) * (1 if once else len(group.completions))
        + sum(len(completion.token_ids) for completion in group.completions)
        for group in groups
    )
