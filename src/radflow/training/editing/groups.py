"""Some completions of each group, mended.

What is off-policy about it: a mended report is not drawn from the policy. Its old log-probabilities are those
of the policy that sampled the rest of the group, from the same first pass. So its ratio (Eq. 2) starts at
exactly 1, and the clip acts as on any other. An importance weight would divide by the probability that
sampling and mending give this report, which nobody knows. The gradient of a half-edited group is therefore no
estimate of the policy gradient: it leans towards the references, and EditGRPO (Zhang et al. 2025,
arXiv:2509.22812) means it to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from radflow.policy import Completion, Group, Policy
from radflow.training.editing.mending import mend_report


def edit_groups(
    policy: Policy, groups: Sequence[Group], *, share: float, max_new_tokens: int, seeds: Sequence[int]
) -> list[Group]:
    """Replace a share of each group's completions by their mended form.

    A completion without a fault stays, and so does one that would become too long: the share is a bound.

    Args:
        policy: its tokenizer.
        groups: as sampled.
        share: of each group, in [0, 1].
        max_new_tokens: longest report, end token included.
        seeds: one per group; they draw which completions, and which of their faults.
    """
    edited = []
    for group, seed in zip(groups, seeds, strict=True):
        size, completions = len(group.completions), list(group.completions)
        for place in np.random.default_rng(seed).permutation(size)[: round(share * size)].tolist():
            text, study = completions[place].text, group.study
            mended = mend_report(text, study.reference, study.modality, seed=seed + place)
            if mended is not None and (made := _completion(policy, mended.text, max_new_tokens)):
                completions[place] = made
        edited.append(replace(group, completions=tuple(completions)))
    return edited


def _completion(policy: Policy, text: str, max_new_tokens: int) -> Completion | None:
    ids = (*policy.tokenizer(text, add_special_tokens=False)["input_ids"], policy.end_ids[0])
    if len(ids) > max_new_tokens:
        return None
    written = policy.tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Completion(text=written, token_ids=ids, finished=True, edited=True)
