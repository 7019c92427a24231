"""R_consistent (Section 4.2): does the generated Impression follow from the generated Findings?

+1 where the judge says so, "-1 otherwise". A report whose sections cannot be told apart, or whose Findings or
Impression is missing, states no conclusion that could follow from anything: that is "otherwise", -1, and the
judge is not asked. The paper leaves this case open. Judging the full text against itself would always answer
yes, and skipping the term would let a policy escape -1 by dropping its headers; with -1 it cannot gain.

The paper's judge is GPT-4o. Ours works by rules unless another is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from radflow.errors import RadflowError, RewardError
from radflow.judges import Judge
from radflow.reports import Report


def consistency_reward(generated: Sequence[Report], judge: Judge) -> Float[np.ndarray, " N"]:
    """+1 or -1 for each generated report.

    Args:
        generated: parsed completions.
        judge: asked once, about all reports that have both sections.

    Raises:
        RewardError: the judge failed, or did not answer every question with yes or no. Never a value.

    >>> class Yes:
    ...     name = "yes"
    ...     def __call__(self, pairs):
    ...         return [True] * len(pairs)
    >>> whole = Report(text="...", findings="Clear lungs.", impression="Normal.")
    >>> headless = Report(text="Normal.", findings=None, impression=None)
    >>> consistency_reward([whole, headless], Yes()).tolist()
    [1.0, -1.0]
    """
    rewards = np.full(len(generated), -1.0)
    judged = [index for index, report in enumerate(generated) if report.sectioned]
    pairs = [(generated[index].findings or "", generated[index].impression or "") for index in judged]
    if not pairs:
        return rewards
    try:
        answers = judge(pairs)
    except RadflowError:
        raise
    except Exception as error:
        raise RewardError(f"judge {judge.name!r} failed on {len(pairs)} reports: {error!r}") from error
    if len(answers) != len(pairs) or not all(isinstance(answer, bool | np.bool_) for answer in answers):
        raise RewardError(
            f"judge {judge.name!r}: expected {len(pairs)} answers, each True or False; got {len(answers)}: "
            f"{str(answers)[:80]}"
        )
    rewards[judged] = np.where(np.asarray(answers, dtype=bool), 1.0, -1.0)
    return rewards
