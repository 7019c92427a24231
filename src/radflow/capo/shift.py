"""How far a policy moved, measured.

The paper's lemma says that clipping bounds the L1 distance of the policies. It does not follow: clipping
removes a gradient, it does not bound a ratio. What holds is an identity,

    || pi - pi_old ||_1 at a state  =  E_{a ~ pi_old} | pi(a) / pi_old(a) - 1 |

so the distance is estimated without bias from the sampled tokens, or computed exactly over the vocabulary.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def visited_shift(
    logprobs: Float[Tensor, "N T"], old_logprobs: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
) -> Float[Tensor, "N"]:
    """Mean ``|ratio - 1|`` over each completion's tokens: the L1 shift, estimated at the visited states.

    >>> visited_shift(torch.tensor([[0.0, 9.0]]), torch.zeros(1, 2), torch.tensor([[True, False]]))
    tensor([0.])
    """
    difference = torch.expm1((logprobs - old_logprobs).masked_fill(~mask, 0.0)).abs()
    return difference.sum(-1) / mask.sum(-1).clamp(min=1)


def exact_shift(
    logits: Float[Tensor, "N T V"], old_logits: Float[Tensor, "N T V"], mask: Bool[Tensor, "N T"]
) -> Float[Tensor, "N"]:
    """Mean over each completion's states of ``sum_a |pi(a) - pi_old(a)|``, between 0 and 2.

    Args:
        logits: of the policy at every visited state, divided by the temperature that sampled.
        old_logits: of the policy that sampled, likewise.
        mask: true on the tokens of each completion.

    >>> same = torch.zeros(1, 1, 5)
    >>> exact_shift(same, same, torch.ones(1, 1, dtype=torch.bool))
    tensor([0.])
    """
    new, old = (x.softmax(-1, dtype=torch.float32) for x in (logits, old_logits))
    distance = (new - old).abs().sum(-1)
    return (distance * mask).sum(-1) / mask.sum(-1).clamp(min=1)
