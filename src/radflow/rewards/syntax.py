"""R_syntax (Eq. 5): linguistic fluency, on the full report.

The paper says "e.g., BLEU, ROUGE-L" and gives no order of BLEU. We take BLEU-2, which the paper reports and
selects by: sentence BLEU-4 of most sampled reports is near 0, so it would hardly rank a group. One metric in
its place, with the other weights at 0, is the reward that Tables 5 and 6 compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import readers
from radflow.metrics import METRICS, Rescaled, bleu2, rouge_l
from radflow.metrics.bertscore import OFFICIAL_BASELINE, bertscore

Fluency = Callable[[Sequence[str], Sequence[str]], Float[np.ndarray, " N"]]


def syntax_reward(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Mean of BLEU-2 and ROUGE-L of each full report, in [0, 1].

    Args:
        generated: completions as the policy wrote them, headers and all.
        reference: the reference reports in the canonical rendering.

    >>> syntax_reward(["No effusion."], ["No effusion."]).tolist()
    [1.0]
    """
    return (bleu2(generated, reference) + rouge_l(generated, reference)) / 2


def syntax_term(metric: str | None = None) -> Fluency:
    """R_syntax as ``reward.syntax_metric`` names it; `syntax_reward` where it names none.

    BLEU and ROUGE-L lie in [0, 1], BERTScore in [-1, 1]; rescaled it is at most 1, and below 0 for reports
    less alike than two random sentences.

    Raises:
        MissingFileError: the folder of the network is not there.
        MissingDependencyError: the package behind the offline BERTScore is not installed.

    >>> syntax_term("bleu2")(["No effusion."], ["Clear lungs"]).tolist()
    [0.0]
    """
    if metric is None:
        return syntax_reward
    name, _, folder = metric.partition(":")
    if name != "bertscore":
        return METRICS[name].load()
    embedder: Any = readers.load(f"embeddings:{folder}" if folder else "minilm")
    if folder:
        embedder = Rescaled(embedder=embedder, baseline=OFFICIAL_BASELINE)
    return partial(bertscore, reader=embedder)
