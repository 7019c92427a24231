"""The hierarchical reward of the paper (Eq. 4-7) as a function of texts, for any reinforcement learning loop.

    python examples/02_reward_in_your_own_rl.py

``reward_of`` is all that a trainer needs: completions and the reference in, one number per completion out.
The parts are kept, so that a log can show which of them a policy is chasing.
"""

from collections.abc import Sequence

from radflow.reports import parse_report
from radflow.rewards import PARTS, HierarchicalReward
from radflow.studies import Study

REWARD = HierarchicalReward(modality="chest-xray", judge="rules", gamma=1.0)

REFERENCE = (
    "Findings: Small left pleural effusion. Heart size is normal. No pneumothorax. "
    "Impression: Small left pleural effusion."
)
COMPLETIONS = {
    "right": "Findings: Small effusion on the left. Normal heart size. Impression: Small left effusion.",
    "contradicts itself": "Findings: No pleural effusion. Impression: Small left pleural effusion.",
    "wrong side": "Findings: Small right pleural effusion. Impression: Small right pleural effusion.",
    "always normal": "Findings: The lungs are clear. Impression: No acute disease.",
    "no headers": "Small left pleural effusion. Heart size is normal.",
}


def reward_of(completions: Sequence[str], reference: str) -> list[float]:
    """One reward per completion, in [-1, 4] with the paper's weights and gamma 1."""
    study = Study(study_id="s", patient_id="p", images=(), reference=parse_report(reference))
    return [reward.total for reward in REWARD(study, completions)]


def main() -> None:
    study = Study(study_id="s", patient_id="p", images=(), reference=parse_report(REFERENCE))
    print(f"{'':20}" + "".join(f"{name:>13}" for name in (*PARTS, "total")))
    for name, reward in zip(COMPLETIONS, REWARD(study, list(COMPLETIONS.values())), strict=True):
        values = [*(reward.parts[part] for part in PARTS), reward.total]
        print(f"{name:20}" + "".join(f"{'skipped' if v is None else f'{v:.2f}':>13}" for v in values))
    assert reward_of([REFERENCE], REFERENCE) == [4.0]


if __name__ == "__main__":
    main()
