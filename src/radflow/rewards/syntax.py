"""R_syntax (Eq. 5): linguistic fluency, on the full report.

The paper says "e.g., BLEU, ROUGE-L" and gives no order of BLEU. We take BLEU-2, which the paper reports and
selects by: sentence BLEU-4 of most sampled reports is near 0, so it would hardly rank a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from radflow.metrics import bleu2, rouge_l


def syntax_reward(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Mean of BLEU-2 and ROUGE-L of each full report, in [0, 1].

    Args:
        generated: completions as the policy wrote them, headers and all.
        reference: the reference reports in the canonical rendering.

    >>> syntax_reward(["No effusion."], ["No effusion."]).tolist()
    [1.0]
    """
    return (bleu2(generated, reference) + rouge_l(generated, reference)) / 2
