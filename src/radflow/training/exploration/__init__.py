"""Target Exploration: which training studies reinforcement fine-tuning should see (paper, section 4.1).

`stage` is one exploration from candidates to picks: `candidates` predicts and scores, `picking` chooses,
`summary` says what was chosen. `rounds` explores again between rollouts of RFT.
"""

from radflow.training.exploration.stage import (
    NothingPickedError,
    check_annotated,
    read_picked,
    run_exploration,
    run_prediction,
)
from radflow.training.exploration.summary import exploration_warnings

__all__ = [
    "NothingPickedError",
    "check_annotated",
    "exploration_warnings",
    "read_picked",
    "run_exploration",
    "run_prediction",
]
